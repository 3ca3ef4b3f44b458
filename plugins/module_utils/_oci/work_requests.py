# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following the service's long-running work to its end, its failure, or a deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .._errors import OcneError
from .._imagebuild.progress import PERCENT, Progress
from .client import Clients, every
from .sdk import OciError, doing, without_secrets

_FAILED = ("FAILED", "CANCELED")


class Deadline:
    """A point in time, and the pauses until it.

    :param seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begun

    def pauses(self) -> Iterator[None]:
        """Yield, sleep, and yield again, until the deadline: often in the beginning, every 15 s later."""
        while True:
            yield
            remaining = self.seconds - self.elapsed
            if remaining <= 0:
                return
            time.sleep(min(remaining, 15.0, max(0.5, self.elapsed / 10)))


class WorkFailed(OcneError):
    """The service ended the work without success."""


class DeadlinePassed(OcneError):
    """The service did not end the work in time."""


def find_work_request(clients: Clients, compartment: str, resource: str) -> str:
    """The id of the newest work request on a resource; '' where none is listed, or where these credentials may not list them."""
    try:
        found = every(f"work requests of {resource}", clients.work_requests.list_work_requests, compartment, resource_id=resource)
    except OciError as error:
        if error.status not in (403, 404):
            raise
        return ""
    return str(max(found, key=lambda each: each.time_accepted).id) if found else ""


def follow(clients: Clients, identifier: str, what: str, deadline: Deadline, progress: Progress) -> None:
    """Return when the work request has succeeded.

    :param what: the work, for messages: "Import of image …".
    :raises WorkFailed: it failed or was cancelled; with the errors that the service logged.
    :raises DeadlinePassed: it did neither in time.
    """
    status, percent = "unknown", 0.0
    for _pause in deadline.pauses():
        try:
            with doing(f"get work request {identifier}"):
                request = clients.work_requests.get_work_request(identifier).data
        except OciError as error:
            if error.status == 404 and deadline.elapsed < 30:
                continue  # accepted, and not to be seen everywhere yet
            raise
        status, percent = request.status, float(request.percent_complete or 0)
        progress("importing", int(percent), PERCENT)
        if status == "SUCCEEDED":
            return
        if status in _FAILED:
            raise WorkFailed(
                f"{what} ended {status} at {percent:.0f} % ({_reasons(clients, identifier)}; work request {identifier}).",
                "The service cancelled it: run again." if status == "CANCELED" else "Mend what the service complains of, then run again.",
                work_request=identifier,
            )
    raise DeadlinePassed(
        f"{what} was {status} at {percent:.0f} % when {deadline.seconds:.0f} s had passed (work request {identifier}).",
        "Raise wait_timeout.",
        work_request=identifier,
    )


def _reasons(clients: Clients, identifier: str) -> str:
    try:
        errors = every(f"errors of work request {identifier}", clients.work_requests.list_work_request_errors, identifier)
    except OciError as error:
        return f"its errors cannot be read: {error.message}"
    said = "; ".join(f"{error.code}: {without_secrets(str(error.message))}" for error in errors)
    return said or "the service gives no reason"
