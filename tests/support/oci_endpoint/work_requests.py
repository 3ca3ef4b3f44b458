# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work requests of Compute (API reference "Work Requests API", version 20160918)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from .context import Context, now, timestamp
from .identity import BASE, Identity
from .messages import Request, Response, not_found
from .paging import page
from .router import Route

FINISHED = ("SUCCEEDED", "FAILED", "CANCELED")


@dataclass
class WorkRequest:
    """`progress` tells the percentage while the work goes on."""

    id: str
    operation: str
    compartment: str
    resource: str
    entity_type: str
    progress: Callable[[], float]
    status: str = "ACCEPTED"
    accepted: str = field(default_factory=lambda: timestamp(now()))
    started: Optional[str] = None
    finished: Optional[str] = None
    percent: float = 0.0
    errors: list[dict[str, str]] = field(default_factory=list)
    logs: list[dict[str, str]] = field(default_factory=list)

    def start(self) -> None:
        self.status = "IN_PROGRESS"
        self.started = timestamp(now())

    def log(self, message: str) -> None:
        self.logs.append({"message": message, "timestamp": timestamp(now())})

    def fail(self, errors: list[tuple[str, str]]) -> None:
        self.errors = [{"code": code, "message": message, "timestamp": timestamp(now())} for code, message in errors]
        self.finish("FAILED")

    def finish(self, status: str) -> None:
        """percentComplete stays where it was unless the work succeeded."""
        self.percent = 100.0 if status == "SUCCEEDED" else self.progress()
        self.status = status
        self.finished = timestamp(now())

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "operationType": self.operation,
            "status": self.status,
            "compartmentId": self.compartment,
            "percentComplete": self.percent if self.status in FINISHED else self.progress(),
            "timeAccepted": self.accepted,
            "timeStarted": self.started,
            "timeFinished": self.finished,
        }

    def document(self) -> dict[str, Any]:
        action = "CREATED" if self.status == "SUCCEEDED" else "IN_PROGRESS" if self.status not in FINISHED else "RELATED"
        uri = f"{BASE}/{self.entity_type}s/{self.resource}"
        resource = {"actionType": action, "entityType": self.entity_type, "identifier": self.resource, "entityUri": uri}
        return {**self.summary(), "resources": [resource]}


class WorkRequests:
    def __init__(self, context: Context, identity: Identity) -> None:
        self._context = context
        self._identity = identity
        self.by_id: dict[str, WorkRequest] = {}

    def routes(self) -> list[Route]:
        path = f"{BASE}/workRequests"
        return [
            Route("GET", path, self._list),
            Route("GET", path + "/{id}", self._get),
            Route("GET", path + "/{id}/errors", self._list_errors),
            Route("GET", path + "/{id}/logs", self._list_logs),
        ]

    def create(self, operation: str, compartment: str, resource: str, entity_type: str, progress: Callable[[], float]) -> WorkRequest:
        work = WorkRequest(self._context.ocid("coreservicesworkrequest"), operation, compartment, resource, entity_type, progress)
        self.by_id[work.id] = work
        return work

    def _find(self, request: Request) -> WorkRequest:
        work = self.by_id.get(request.params["id"])
        if work is None:
            raise not_found()
        return work

    def _list(self, request: Request) -> Response:
        compartment = request.required_arg("compartmentId")
        with self._context.lock:
            self._identity.check(compartment)
            items = [
                work.summary()
                for work in reversed(list(self.by_id.values()))
                if work.compartment == compartment and request.arg("resourceId") in (None, work.resource)
            ]
        return page(request, items, self._context.settings.page_size)

    def _get(self, request: Request) -> Response:
        with self._context.lock:
            work = self._find(request)
            answer = Response.of_json(work.document())
            if work.status not in FINISHED:
                answer.headers["retry-after"] = "1"
            return answer

    def _list_errors(self, request: Request) -> Response:
        with self._context.lock:
            return page(request, list(self._find(request).errors), self._context.settings.page_size)

    def _list_logs(self, request: Request) -> Response:
        with self._context.lock:
            return page(request, list(self._find(request).logs), self._context.settings.page_size)
