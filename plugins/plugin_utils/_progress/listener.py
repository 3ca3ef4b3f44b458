# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listens to modules while they run, and ends them when the run is ended."""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Callable, NoReturn, Optional, Protocol

from ...module_utils._progress import State
from .teller import Teller

#: Seconds before the first look at a module, and between looks at last. Each is a command on its host.
_FIRST_LOOK, _LOOKS = 1.0, 5.0
_TICK = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user or the system ends the run. No Exception, so that nothing takes it for a failure of the module."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Module(Protocol):
    """The module that runs."""

    def read(self) -> Optional[State]:
        """How far it is."""

    def end(self) -> None:
        """Have it clean up, and wait for it."""


class Watched:
    """A module that is listened to.

    :param teller: None: nothing is to be said.
    """

    def __init__(self, module: Module, teller: Optional[Teller]) -> None:
        self.module, self.teller = module, teller
        self.heard: Optional[tuple[State, float]] = None
        self._told: Optional[tuple[State, float]] = None

    def listen(self) -> bool:
        """Whether the module tells how far it is.

        :raises Exception: the connection's; the run itself will tell.
        """
        state = self.module.read()
        if state:
            self.heard = state, time.monotonic()
        return state is not None

    def line(self) -> Optional[str]:
        """What is to be said now."""
        if not self.teller:
            return None
        if self.heard and self.heard is not self._told:
            self._told = self.heard
            self.teller.observe(*self.heard)
        return self.teller.line(time.monotonic())


class _Arrivals:
    """Signals that have come to the process, and that its main thread may know nothing of.

    Python runs handlers in the main thread; the system may give a signal to any thread, which leaves the main one waiting in the system
    for the module's end. It is given the signal once more.
    """

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None
        self._before = -1
        self._handed_on: set[int] = set()

    def watch(self) -> None:
        """From the main thread."""
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)
        self._before = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)

    def hand_on(self) -> None:
        """From another thread."""
        if not self._ends:
            return
        with contextlib.suppress(BlockingIOError):
            for number in set(os.read(self._ends[0], 1024)) & set(map(int, _SIGNALS)) - self._handed_on:
                self._handed_on.add(number)
                signal.pthread_kill(threading.main_thread().ident or 0, number)

    def close(self) -> None:
        if self._ends:
            signal.set_wakeup_fd(self._before)
            for end in self._ends:
                os.close(end)
            self._ends = None


class Listener:
    """A context manager around the run of modules. Left by an exception, it ends those that run, and waits until they have cleaned up.

    :param say: is given each line.
    """

    def __init__(self, watched: Iterable[Watched], say: Callable[[str], None]) -> None:
        self._watched, self._say = list(watched), say
        self._over = threading.Event()
        self._parent = os.getppid()
        self._handlers: dict[int, Any] = {}
        self._arrivals = _Arrivals()
        telling = any(each.teller for each in self._watched)
        self._threads = [self._thread(self._tick)] + ([self._thread(self._listen)] if telling else [])

    def __enter__(self) -> Listener:
        if threading.current_thread() is threading.main_thread():
            self._arrivals.watch()
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._interrupt)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._threads[0].join()  # no line comes after the result; who listens may still wait for an answer
        if error is not None:
            # An ordinary error is one of the connection, mostly: nothing may have been begun.
            self._end([each.module for each in self._watched if each.heard or not isinstance(error, Exception)])
        if not isinstance(error, Interrupted):
            self._restore()

    def leave(self, watched: Watched) -> None:
        """The module has ended."""
        self._watched = [each for each in self._watched if each is not watched]

    def take_effect(self, interrupted: Interrupted) -> None:
        """What the signal would have done at once."""
        self._restore()
        os.kill(os.getpid(), interrupted.number)

    def _end(self, modules: Iterable[Module]) -> None:
        """End them at once, and wait for all."""
        threads = [self._thread(module.end) for module in modules]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._arrivals.close()

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        # The controller sends several, and none may break off the wait for the module. Not SIG_IGN: Python complains of a
        # signal that has arrived already.
        for each in self._handlers:
            signal.signal(each, lambda _number, _frame: None)
        raise Interrupted(number)

    @staticmethod
    def _thread(work: Callable[[], None]) -> threading.Thread:
        # ansible-core knows by the context which task it works on.
        return threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)

    def _listen(self) -> None:
        pause = _FIRST_LOOK
        while not self._over.wait(pause):
            for each in self._watched:
                with contextlib.suppress(Exception):
                    if each.listen():
                        pause = min(pause * 1.5, _LOOKS)

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            if os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGTERM)  # the controller is gone, and could not say so
                return
            self._arrivals.hand_on()
            for each in self._watched:
                line = each.line()
                if line and each in self._watched:
                    with contextlib.suppress(Exception):
                        self._say(line)
