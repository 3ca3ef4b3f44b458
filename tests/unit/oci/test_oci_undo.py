# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clean-up after a failure, and threads that nobody waits for."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import CancelledError

import pytest
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._oci.undo import Undo
from ansible_collections.ocne.images.plugins.module_utils._oci.workers import Workers
from ansible_collections.ocne.images.plugins.module_utils._shield import uninterrupted


def _fail() -> None:
    raise OcneError("It is locked.")


def test_failure_undoes_the_newest_first_and_says_so() -> None:
    done: list[str] = []
    with pytest.raises(OcneError) as caught, Undo() as undo:
        undo.add("the object", lambda: done.append("object"))
        undo.add("the image", lambda: done.append("image"))
        raise OcneError("It failed.", "Do this.")
    assert done == ["image", "object"]
    assert str(caught.value) == "It failed. Do this. Removed again: the image, the object."


def test_clean_up_that_fails_is_told_and_keeps_no_other_from_being_tried() -> None:
    done: list[str] = []
    with pytest.raises(OcneError) as caught, Undo() as undo:
        undo.add("the object", lambda: done.append("object"))
        undo.add("the image", _fail)
        raise OcneError("It failed.")
    assert done == ["object"]
    assert str(caught.value) == "It failed. Removed again: the object. the image is left: It is locked."


def test_clean_up_that_fails_unexpectedly_hides_neither_the_error_nor_the_rest() -> None:
    done: list[str] = []
    with pytest.raises(OcneError) as caught, Undo() as undo:
        undo.add("the object", lambda: done.append("object"))
        undo.add("the image", lambda: done.remove("nothing"))
        raise OcneError("It failed.")
    assert done == ["object"]
    assert str(caught.value).startswith("It failed. Removed again: the object. the image is left: ValueError(")


def test_signal_undoes_too() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), Undo() as undo:
        undo.add("the object", lambda: done.append("object"))
        raise KeyboardInterrupt
    assert done == ["object"]


def test_success_and_what_is_forgotten_are_kept() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.add("the object", lambda: done.append("object"))
    with pytest.raises(OcneError), Undo() as undo:
        undo.add("the object", lambda: done.append("object"))
        undo.forget()
        raise OcneError("It failed.")
    assert done == []


def test_where_nothing_is_undone_the_error_says_nothing_of_it() -> None:
    with pytest.raises(OcneError) as caught, Undo():
        raise OcneError("It failed.", "Do this.")
    assert str(caught.value) == "It failed. Do this."


def test_workers_give_results_and_errors() -> None:
    with Workers(2, "test") as workers:
        assert workers.submit(pow, 2, 10).result(timeout=60) == 1024
        with pytest.raises(OcneError, match="locked"):
            workers.submit(_fail).result(timeout=60)


def test_workers_drop_what_is_not_begun() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go_on.wait(10)

    with Workers(1, "test") as workers:
        running = workers.submit(hold)
        assert begun.wait(10)
        waiting = workers.submit(pow, 2, 10)
    with pytest.raises(CancelledError):
        waiting.result(timeout=60)
    go_on.set()
    assert running.result(timeout=60) is None
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("test-"))


@pytest.mark.parametrize("fails", [False, True])
def test_signal_waits_until_the_id_is_noted(fails: bool) -> None:
    noted = []
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        try:
            with uninterrupted():
                signal.raise_signal(signal.SIGINT)
                noted.append("id")
                if fails:
                    _fail()
        except OcneError:
            noted.append("the run went on")
    assert noted == ["id"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_signal_changes_nothing() -> None:
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
