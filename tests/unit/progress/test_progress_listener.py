# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module that is listened to while it runs, and ended with the run. A process stands in for ansible-core's worker."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._progress import State
from ansible_collections.ocne.images.plugins.plugin_utils._progress import channel, listener
from ansible_collections.ocne.images.plugins.plugin_utils._progress.channel import Channel
from ansible_collections.ocne.images.plugins.plugin_utils._progress.listener import Interrupted, Listener, Watched
from ansible_collections.ocne.images.plugins.plugin_utils._progress.teller import Teller

from tests.support.watching import wait_until

STATE = State(4711, "uploading", 5, 10)


class Module:
    """Tells what the test says, and keeps what is done with it."""

    def __init__(self, state: Optional[State] = STATE) -> None:
        self.state, self.ended, self.looks = state, 0, 0
        self.looked = threading.Event()

    def read(self) -> Optional[State]:
        self.looks += 1
        if self.looks > 1:
            self.looked.set()
        if self.looks % 2:
            raise OSError("the connection broke")
        return self.state

    def end(self) -> None:
        self.ended += 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_FIRST_LOOK", 0.01)
    monkeypatch.setattr(listener, "_LOOKS", 0.01)
    monkeypatch.setattr(listener, "_TICK", 0.01)
    monkeypatch.setattr(channel, "_PAUSE", 0.01)


@pytest.fixture
def handlers() -> Any:
    before = {number: signal.getsignal(number) for number in listener._SIGNALS}
    yield before
    after = {number: signal.getsignal(number) for number in listener._SIGNALS}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


def _teller() -> Teller:
    return Teller("it", time.monotonic() - 60)  # a line is due at once


def test_lines_are_said_while_the_module_runs_and_not_after_it(handlers: Any) -> None:
    module, said = Module(), list[str]()
    with Listener([Watched(module, _teller())], said.append):
        wait_until(lambda: any("uploading" in line for line in said))
    count = len(said)
    time.sleep(0.05)
    assert len(said) == count and module.ended == 0


def test_several_modules_are_listened_to_until_each_has_ended(handlers: Any) -> None:
    first, second, said = Module(State(1, "fetching", 0, None)), Module(State(2, "converting", 0, None)), list[str]()
    watched = [Watched(first, _teller()), Watched(second, _teller())]
    with pytest.raises(KeyboardInterrupt), Listener(watched, said.append) as listening:
        wait_until(lambda: any("fetching" in line for line in said) and any("converting" in line for line in said))
        listening.leave(watched[0])
        raise KeyboardInterrupt
    assert (first.ended, second.ended) == (0, 1)


def test_a_line_that_cannot_be_said_harms_nothing(handlers: Any) -> None:
    module, tried = Module(), list[str]()

    def say(line: str) -> None:
        tried.append(line)
        raise OSError("the queue is closed")

    with Listener([Watched(module, _teller())], say):
        wait_until(lambda: tried)


def test_nobody_looks_at_a_module_of_which_nothing_is_to_be_said(handlers: Any) -> None:
    module = Module()
    with Listener([Watched(module, None)], pytest.fail):
        time.sleep(0.1)
    assert module.looks == 0


def test_an_interruption_ends_the_module_and_then_takes_effect(handlers: Any) -> None:
    module, arrived = Module(), list[int]()
    signal.signal(signal.SIGTERM, lambda number, _frame: arrived.append(number))
    listening = Listener([Watched(module, None)], print)

    def work() -> None:
        with listening:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    with pytest.raises(Interrupted) as caught:
        work()
    assert module.ended == 1 and not arrived
    os.kill(os.getpid(), signal.SIGTERM)  # the controller's next one, while the module is waited for
    assert not arrived
    listening.take_effect(caught.value)
    assert arrived == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, handlers[signal.SIGTERM])


def test_signals_that_are_ignored_stay_so(handlers: Any) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Listener([Watched(Module(), None)], print):
        os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, handlers[signal.SIGHUP])


@pytest.mark.parametrize(
    ("error", "known", "ended"),
    [
        (KeyboardInterrupt(), False, 1),  # as ansible-core's task timeout, no Exception
        (ConnectionError(), False, 0),  # the host was never reached
        (ConnectionError(), True, 1),
    ],
)
def test_a_module_that_may_still_run_after_an_error_is_ended(handlers: Any, error: BaseException, known: bool, ended: int) -> None:
    module = Module(STATE if known else None)
    watched = Watched(module, _teller())
    with pytest.raises(type(error)), Listener([watched], lambda line: None):
        wait_until(lambda: watched.heard if known else module.looked.is_set())
        raise error
    assert module.ended == ended


def test_a_run_whose_controller_is_gone_ends_the_module(tmp_path: Path) -> None:
    """A grandchild is left behind by its parent, as a worker is by a controller that is killed."""
    result = tmp_path / "result"
    child = os.fork()
    if not child:
        grandchild = os.fork()
        if grandchild:
            time.sleep(0.2)
            os._exit(0)
        module = Module()
        try:
            with Listener([Watched(module, None)], print):
                (tmp_path / "began").touch()
                time.sleep(60)
        except Interrupted as interrupted:
            result.with_suffix(".part").write_text(f"{interrupted} {module.ended}")
            result.with_suffix(".part").rename(result)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    wait_until(result.exists)
    assert result.read_text() == "SIGTERM 1"


def test_a_signal_that_another_thread_has_got_reaches_the_waiting_one(handlers: Any) -> None:
    module = Module()
    end, _other_end = os.pipe()

    def send() -> None:
        time.sleep(0.1)  # until it waits
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    threading.Thread(target=send).start()
    listening = Listener([Watched(module, None)], print)
    begun = time.monotonic()
    with pytest.raises(Interrupted), listening:
        select.select([end], [], [], 600)
    listening._restore()
    assert time.monotonic() - begun < 300, "it waited to the end"
    assert module.ended == 1 and signal.set_wakeup_fd(-1) == -1


def test_from_a_thread_signals_are_left_alone(handlers: Any) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Listener([Watched(Module(), None)], print):
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


BROKEN = object()


class Connection:
    """What a channel needs of a connection plugin."""

    become: Any = None


class Host:
    """An action plugin whose host is a script: what each command answers, or BROKEN."""

    def __init__(self, *answers: Any) -> None:
        self._connection = Connection()
        self.answers = list(answers)
        self.commands: list[str] = []
        self.connections: list[Connection] = []

    def _low_level_execute_command(self, command: str) -> dict[str, Any]:
        self.commands.append(command)
        self.connections.append(self._connection)
        answer = self.answers.pop(0) if self.answers else ""
        if answer is BROKEN:
            raise ConnectionError
        return {"stdout": answer}


LINE = STATE.encode().decode()


def test_a_module_is_read_by_a_command() -> None:
    host = Host(LINE, "cat: no such file")
    module = Channel(host, "~/tmp")
    assert (module.read(), module.read()) == (STATE, None)
    assert host.commands == [f'cat "`echo {module.path}`"'] * 2


def test_two_modules_are_told_apart() -> None:
    assert channel.new_path("~/tmp") != channel.new_path("~/tmp")


def test_no_two_commands_share_a_connections_object() -> None:
    host = Host()
    host._connection.become = object()
    module = Channel(host, "~/tmp")
    module.read()
    module.read()
    used = [host._connection, *host.connections]
    assert len({id(each) for each in used}) == len({id(each.become) for each in used}) == 3


def test_ending_signals_once_and_waits_for_the_end() -> None:
    host = Host(LINE, "", LINE, BROKEN, LINE, "")
    Channel(host, "~/tmp").end()
    assert [command for command in host.commands if command.startswith("kill")] == ["kill -s TERM 4711"]
    assert host.answers == []


def test_a_module_that_has_not_begun_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host("", "", LINE, "", "")
    Channel(host, "~/tmp").end()
    assert "kill -s TERM 4711" in host.commands
    monkeypatch.setattr(channel, "_NO_ANSWER", 0.1)
    host = Host()
    Channel(host, "~/tmp").end()
    assert not any(command.startswith("kill") for command in host.commands)


def test_a_module_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_PATIENCE", 0.2)
    host = Host(*[LINE, "", *[LINE] * 1000])
    Channel(host, "~/tmp").end()
    assert host.answers
