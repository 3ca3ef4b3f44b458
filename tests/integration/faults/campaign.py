# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Injects a fault into a step, looks at its artefact all the while, runs the step again, and judges."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.faults.faults import FAULTS, Fault, Injection, Usual, traced
from tests.integration.faults.steps import NEW, NOTHING, OLD, STEPS, FileStep, Site, Step, processes_of, read_result, site

#: Seconds after which a run hangs, and processes that do not end.
PATIENCE = 300.0
#: Moments that are tried until one comes.
_TURNS = 8
WENT_ON, FAILED, ENDED = "went on", "failed with a message", "ended by the signal"


@dataclass
class Outcome:
    """Of one injection. problems: what must not be."""

    fault: str
    step: str
    seed: str
    ended: str = ""
    message: str = ""
    problems: list[str] = field(default_factory=list)


class Campaign:
    """:param site: where its steps work."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._usual: dict[str, Usual] = {}
        self._cases = 0

    def inject(self, fault: Fault, name: str, seed: str) -> Outcome | None:
        """None where the moment that the seed gives did not come."""
        usual = self._usual_run(name)
        numbers = random.Random(seed)
        with self._step(name) as step:
            there = numbers.random() < 0.5 and step.put_old()
            outcome = Outcome(fault.name, name, seed)
            with fault.in_force(step, usual, numbers) as injection:
                with _watched(step) as seen:
                    injection.process = step.start(*injection.prefix)
                    _wait(injection.process, outcome)
                happened = injection.happened()
                injection.heal()
                _no_process_is_left(step, outcome)
                if not happened:
                    return None
                _judge_end(step, injection, outcome)
                _judge_artefact(step, outcome, seen, there)
                if injection.signal != signal.SIGKILL and (files := step.temporary()):
                    outcome.problems.append(f"it leaves {files}")
                again = step.start()
                _wait(again, outcome)
                if again.returncode:
                    outcome.problems.append(f"the next run fails: {step.result.read_text()}{step.said.read_text()}")
                if (found := step.look()) != NEW:
                    outcome.problems.append(f"after the next run the artefact is {found}")
                if left := step.left():
                    outcome.problems.append(f"the next run leaves {left}")
            return outcome

    def _usual_run(self, name: str) -> Usual:
        """Measured once: without a fault, and traced."""
        if name not in self._usual:
            with self._step(name) as step:
                step.relay.heal()
                step.relay.requests.clear()
                trace = self._site.folder / "trace"
                process = step.start(*traced(trace, True))
                if process.wait():
                    raise RuntimeError(f"{name} fails without a fault: {step.result.read_text()}{step.said.read_text()}")
                if isinstance(step, FileStep):
                    step.known[type(step), step.identity()] = NEW
                if (found := step.look()) != NEW or step.left():
                    raise RuntimeError(f"{name} makes {found} without a fault, and leaves {step.left()}")
                calls = Counter(line.split(maxsplit=1)[0] for line in trace.read_text(errors="replace").splitlines())
                size = sum(path.stat().st_size for path in step.folder.rglob("*") if path.is_file())
                self._usual[name] = Usual(list(step.relay.requests), list(calls.values()), size)
        return self._usual[name]

    @contextmanager
    def _step(self, name: str) -> Iterator[Step]:
        self._cases += 1
        folder = self._site.folder / f"case-{self._cases}"
        step = STEPS[name](self._site, folder)
        try:
            yield step
        finally:
            step.close()
            for path in (folder, *folder.parent.glob(f"{folder.name}[.-]*")):
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True) if path.exists() else None


def _wait(process: subprocess.Popen[bytes], outcome: Outcome) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        outcome.problems.append(f"it hangs: more than {PATIENCE:.0f} s")
        process.kill()
        process.wait()


def _no_process_is_left(step: Step, outcome: Outcome) -> None:
    """A skopeo whose module was killed ends by itself, once it has an answer."""
    deadline = time.monotonic() + 60
    while left := processes_of(step):
        if time.monotonic() > deadline:
            outcome.problems.append(f"processes are left: {left}")
            for each in left:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            return
        time.sleep(0.05)


def _judge_end(step: Step, injection: Injection, outcome: Outcome) -> None:
    process = injection.process
    assert process is not None
    said, result = step.result.read_text() + step.said.read_text(), read_result(step)
    if "Traceback" in said:
        outcome.problems.append(f"a traceback: {said[-3000:]}")
    if result and process.returncode == 0:
        outcome.ended = WENT_ON
        if step.look() != NEW:
            outcome.problems.append(f"it says that it succeeded, and the artefact is {step.look()}")
    elif result and result.get("msg"):
        outcome.message = str(result["msg"])
        outcome.ended = ENDED if injection.signal and re.match("Ended by SIG", outcome.message) else FAILED
    elif injection.signal and process.returncode in (-injection.signal, 128 + injection.signal):
        outcome.ended = ENDED
    else:
        outcome.problems.append(f"it ended with {process.returncode} and without a message: {said[-3000:]}")


def _judge_artefact(step: Step, outcome: Outcome, seen: set[str], there: bool) -> None:
    allowed = {OLD if there else NOTHING, NEW}
    if found := (seen | {step.look()}) - allowed:
        outcome.problems.append(f"a reader saw {sorted(found)}, and might see {sorted(allowed)}")


@contextmanager
def _watched(step: Step) -> Iterator[set[str]]:
    """What a reader of the artefact sees meanwhile."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.01):
            seen.add(step.look())

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()


def campaign(folder: Path, rounds: int, seed: int, only: Sequence[str] = (), share: tuple[int, int] = (0, 1)) -> Iterator[Outcome]:
    """So many injections of every fault into each step it is for.

    :param only: parts of names of faults and steps, of which one has to fit.
    :param share: which of how many shares of all that.
    """
    with site(folder) as place:
        running = Campaign(place)
        cases = [(number, fault, name) for number in range(rounds) for fault in FAULTS for name in fault.steps]
        for number, fault, name in cases[share[0] :: share[1]]:
            if not only or any(each in f"{fault.name}:{name}" for each in only):
                yield inject_once(running, fault, name, f"{seed}:{number}")


def inject_once(running: Campaign, fault: Fault, name: str, seed: str) -> Outcome:
    """At the first moment of those that follow from the seed that comes."""
    outcomes = (running.inject(fault, name, f"{seed}:{turn}:{fault.name}:{name}") for turn in range(_TURNS))
    outcome = next(filter(None, outcomes), None)
    if outcome is None:
        raise RuntimeError(f"{fault.name} did not come about in {name}")
    return outcome
