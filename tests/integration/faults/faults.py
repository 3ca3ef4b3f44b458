# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults: what each does to a run, at a moment that a seed decides."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from tests.integration.faults.steps import Import, Step
from tests.support.command import run
from tests.support.oci_endpoint.tokens import TokenIssuer
from tests.support.relay import Misbehaviour

#: System calls that change files, or tell others of it.
CALLS = (
    "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,ftruncate,write,pwrite64,fallocate,copy_file_range,flock"
)


@dataclass(frozen=True)
class Usual:
    """A run without a fault: bytes of each of its requests, calls of each of its threads, bytes that it leaves in its folder."""

    requests: Sequence[int]
    calls: Sequence[int]
    size: int


@dataclass
class Injection:
    """A fault in force.

    :param prefix: of the command that is run.
    :param happened: whether it has had an effect.
    :param heal: end it, before the next run.
    :param signal: that may end the run.
    """

    prefix: Sequence[str] = ()
    process: Optional[subprocess.Popen[bytes]] = None
    happened: Callable[[], bool] = lambda: True
    heal: Callable[[], None] = lambda: None
    signal: int = 0


@dataclass(frozen=True)
class Fault:
    """:param inject: a context in which the step runs with the fault, and once more without."""

    name: str
    inject: Callable[[Step, Usual, random.Random], Iterator[Injection]]
    steps: Sequence[str]

    @contextmanager
    def in_force(self, step: Step, usual: Usual, numbers: random.Random) -> Iterator[Injection]:
        yield from self.inject(step, usual, numbers)


def _moment(usual: Usual, numbers: random.Random) -> tuple[int, int]:
    """A request, and how many of its bytes have passed: half of all moments by requests, half by bytes."""
    weights = usual.requests if numbers.random() < 0.5 else None
    number = numbers.choices(range(len(usual.requests)), weights)[0]
    return number + 1, int(usual.requests[number] * numbers.random())


def _relayed(action: str, status: int = 503, lasting: Optional[bool] = None, at_once: bool = False) -> Callable[..., Iterator[Injection]]:
    """:param lasting: whether it stays until the run has ended; None: the seed decides. at_once: not a byte passes."""

    def inject(step: Step, usual: Usual, numbers: random.Random) -> Iterator[Injection]:
        request, count = _moment(usual, numbers)
        stays = numbers.random() < 0.5 if lasting is None else lasting
        step.relay.misbehave(
            Misbehaviour(action, request, None if stays else numbers.randint(1, 3), 0 if at_once else count, status),
        )
        yield Injection(happened=lambda: step.relay.happened > 0, heal=step.relay.heal)
        step.relay.heal()

    return inject


def _done(
    act: Callable[[Step, Injection], None], heal: Callable[[Step], None] = lambda step: None, number: int = 0
) -> Callable[..., Iterator[Injection]]:
    """Something is done at the moment."""

    def inject(step: Step, usual: Usual, numbers: random.Random) -> Iterator[Injection]:
        request, count = _moment(usual, numbers)
        injection = Injection(signal=number)
        done: list[bool] = []

        def call() -> None:
            act(step, injection)
            done.append(True)

        def restore() -> None:
            step.relay.heal()
            heal(step)

        injection.happened, injection.heal = lambda: bool(done), restore
        step.relay.misbehave(Misbehaviour("do", request, 1, count, call=call))
        yield injection
        step.relay.heal()

    return inject


def _signalled(number: signal.Signals) -> Callable[..., Iterator[Injection]]:
    def act(_step: Step, injection: Injection) -> None:
        assert injection.process is not None
        if injection.process.poll() is None:
            injection.process.send_signal(number)

    return _done(act, number=number)


def _killed_at_a_call(all_of_it: bool) -> Callable[..., Iterator[Injection]]:
    """:param all_of_it: also the programs that the module runs; whichever comes first to the call is killed."""

    def inject(step: Step, usual: Usual, numbers: random.Random) -> Iterator[Injection]:
        trace = step.folder.with_name(f"{step.folder.name}.trace")
        # Which of skopeo's threads does how much is another thing each time.
        at = numbers.randint(1, max(3, max(usual.calls) // 4) if all_of_it else usual.calls[0])
        injection = Injection(traced(trace, all_of_it, f"inject={CALLS}:signal=KILL:when={at}"), signal=signal.SIGKILL)
        injection.happened = lambda: "+++ killed by SIGKILL" in trace.read_text(errors="replace")
        yield injection

    return inject


def traced(trace: Path, all_of_it: bool, *expressions: str) -> Sequence[str]:
    """The beginning of a command whose calls are written to the file trace."""
    options = [word for expression in (f"trace={CALLS}", "signal=KILL", *expressions) for word in ("-e", expression)]
    return ["strace", "-q", "-o", str(trace), *(["-f"] if all_of_it else []), *options]


@contextmanager
def _mounted(step: Step, *options: object) -> Iterator[None]:
    """All folders of the step on a filesystem of their own."""
    aside = step.folder.with_name(f"{step.folder.name}-aside")
    shutil.move(step.folder, aside)
    step.folder.mkdir()
    run("mount", *map(str, options), step.folder)
    try:
        shutil.copytree(aside, step.folder, dirs_exist_ok=True, symlinks=True)
        yield
    finally:
        shutil.rmtree(aside)
        run("umount", "--lazy", step.folder)


def _full_disk(step: Step, usual: Usual, numbers: random.Random) -> Iterator[Injection]:
    """Room for some of what a run needs."""
    there = sum(path.stat().st_size for path in step.folder.rglob("*") if path.is_file())
    size = there + int(usual.size * numbers.uniform(0.01, 0.95)) + (64 << 10)
    with _mounted(step, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        yield Injection(heal=lambda: run("mount", "-o", "remount,size=2g", step.folder) and None)


def _power_loss(step: Step, usual: Usual, numbers: random.Random) -> Iterator[Injection]:
    """A kill of everything; what has not been written to the disk by then is lost."""
    disk = step.folder.with_name(f"{step.folder.name}.disk")
    kind = numbers.choice(("ext4", "xfs"))
    with disk.open("wb") as file:
        file.truncate(320 << 20)
    run(f"mkfs.{kind}", "-q", disk)
    # Without the help that ext4 gives to who forgets fsync, and without its timely commits.
    options = "loop,noauto_da_alloc,commit=300" if kind == "ext4" else "loop"
    with _mounted(step, "-t", kind, "-o", options, disk):
        os.sync()
        for injection in _killed_at_a_call(False)(step, usual, numbers):
            injection.heal = lambda: _lose_power(step.folder, disk)
            yield injection


def _lose_power(folder: Path, disk: Path) -> None:
    """What is on the disk at this moment is mounted in place of what the system has of it in memory."""
    copy = disk.with_name(f"{disk.name}-after")
    run("cp", "--sparse=always", disk, copy)
    run("umount", folder)
    copy.replace(disk)
    run("mount", "-o", "loop", disk, folder)


def _forget_tokens(step: Step, _injection: Injection) -> None:
    assert isinstance(step, Import)
    step.cloud.credentials.tokens = TokenIssuer()


def _renew_token(step: Step) -> None:
    assert isinstance(step, Import)
    step.cloud.credentials.renew_session()


def _set_clock(step: Step, seconds: float) -> None:
    assert isinstance(step, Import)
    step.cloud.settings.clock_ahead = seconds


_REMOTE = ("boot image", "ostree archive", "push to a registry", "import")
_TO_FILES = ("boot image", "ostree archive", "push to an archive", "push to a layout", "push to a folder")

FAULTS = (
    Fault("kill -9", _signalled(signal.SIGKILL), _REMOTE),
    Fault("Ctrl-C (SIGINT)", _signalled(signal.SIGINT), _REMOTE),
    Fault("SIGTERM", _signalled(signal.SIGTERM), _REMOTE),
    Fault("SIGHUP", _signalled(signal.SIGHUP), _REMOTE),
    Fault("kill -9 at a system call", _killed_at_a_call(False), (*_TO_FILES, "import")),
    Fault("kill -9 of skopeo", _killed_at_a_call(True), (*_TO_FILES, "push to a registry")),
    Fault("power loss", _power_loss, (*_TO_FILES, "import")),
    Fault("disk full", _full_disk, _TO_FILES),
    Fault("connection reset", _relayed("reset"), _REMOTE),
    Fault("server gone, and back", _relayed("reset", lasting=False, at_once=True), _REMOTE),
    Fault("server gone", _relayed("reset", lasting=True, at_once=True), _REMOTE),
    Fault("no answer", _relayed("stall"), _REMOTE),
    Fault("429", _relayed("status", 429), _REMOTE),
    Fault("500", _relayed("status", 500), _REMOTE),
    Fault("503", _relayed("status", 503), _REMOTE),
    Fault("garbage as an answer", _relayed("garbage"), _REMOTE),
    Fault("answer cut short", _relayed("more"), _REMOTE),
    Fault("answer longer than said", _relayed("less"), _REMOTE),
    Fault("damaged answer", _relayed("flip"), _REMOTE),
    Fault("token expires", _done(_forget_tokens, _renew_token), ("import",)),
    Fault("clock ten minutes ahead", _done(lambda step, _: _set_clock(step, -600), lambda step: _set_clock(step, 0)), ("import",)),
    Fault("clock ten minutes behind", _done(lambda step, _: _set_clock(step, 600), lambda step: _set_clock(step, 0)), ("import",)),
)
