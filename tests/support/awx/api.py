# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The REST API, version 2: objects that are made, listed, changed, and tied to one another. State lives as long as the object."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Optional
from urllib.parse import parse_qsl, urlsplit

from . import rules
from .rules import Json, Refused

VERSION = "24.6.1"
#: Kinds of objects as they are in paths, the type each one says to have, and what has to be given to make one.
KINDS = {
    "organizations": ("organization", {"name"}),
    "credential_types": ("credential_type", {"name", "kind", "inputs", "injectors"}),
    "credentials": ("credential", {"name", "credential_type", "organization"}),
    "execution_environments": ("execution_environment", {"name", "image"}),
    "projects": ("project", {"name", "scm_type", "scm_url"}),
    "inventories": ("inventory", {"name", "organization"}),
    "hosts": ("host", {"name", "inventory"}),
    "instance_groups": ("instance_group", {"name"}),
    "job_templates": ("job_template", {"name", "inventory", "project", "playbook"}),
    "workflow_job_templates": ("workflow_job_template", {"name"}),
    "workflow_job_template_nodes": ("workflow_job_template_node", {"workflow_job_template", "unified_job_template"}),
    "schedules": ("schedule", {"name", "unified_job_template", "rrule"}),
}
#: Kinds that one list shows together.
UNIFIED = ("projects", "job_templates", "workflow_job_templates")
ENCRYPTED = "$encrypted$"


class Awx:
    """Listens on loopback: `with Awx() as awx: ...`.

    :param token: what clients have to send.
    """

    def __init__(self, token: str = "a-token") -> None:
        self.token = token
        self.objects: dict[str, dict[int, Json]] = {kind: {} for kind in KINDS}
        self.surveys: dict[tuple[str, int], Json] = {}
        self.ties: dict[tuple[str, int, str], list[int]] = defaultdict(list)
        self._next = 1
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"awx": self}))
        self.add("organizations", {"name": "Default"})
        self.add("instance_groups", {"name": "default"})

    def __enter__(self) -> Awx:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """Variables of the collection awx.awx."""
        return {"CONTROLLER_HOST": f"http://127.0.0.1:{self._server.server_address[1]}", "CONTROLLER_OAUTH_TOKEN": self.token}

    def find(self, kind: str, **fields: object) -> Json:
        """The one object of that kind with these fields."""
        (found,) = (each for each in self.objects[kind].values() if all(each.get(name) == value for name, value in fields.items()))
        return found

    def add(self, kind: str, fields: Json) -> Json:
        """:raises Refused: AWX would not make it."""
        type_name, needed = KINDS[kind]
        missing = {name for name in needed if fields.get(name) in (None, "")}
        if missing:
            raise Refused(f"required: {missing}")
        self._check(kind, fields)
        for other in self.objects[kind].values():
            if all(
                other.get(key) == fields.get(key) for key in ("name", "identifier", "organization", "inventory", "workflow_job_template")
            ):
                raise Refused(f"there is such a {type_name} already")
        number, self._next = self._next, self._next + 1
        url = f"/api/v2/{kind}/{number}/"
        related = {"survey_spec": f"{url}survey_spec/"}
        more: Json = {"kind": "", "host_filter": None, "scm_branch": "", "scm_revision": "", "enabled": True}
        self.objects[kind][number] = {
            **more,
            **fields,
            "id": number,
            "type": type_name,
            "url": url,
            "related": related,
            "summary_fields": {},
        }
        return self.objects[kind][number]

    def change(self, kind: str, number: int, fields: Json) -> Json:
        """:raises Refused: AWX would not take it."""
        old = self.objects[kind][number]
        if kind == "credentials":
            kept = old["inputs"]
            fields = {**fields, "inputs": {key: kept[key] if value == ENCRYPTED else value for key, value in fields["inputs"].items()}}
        self._check(kind, {**old, **fields})
        old.update({key: "" if key == "kind" and value is None else value for key, value in fields.items()})
        return old

    def tie(self, kind: str, number: int, relation: str, other: int, apart: bool) -> None:
        """:raises Refused: AWX would not take it."""
        tied = self.ties[kind, number, relation]
        if apart:
            tied.remove(other)
            return
        if relation == "credentials":
            types = [self.objects["credentials"][each]["credential_type"] for each in (*tied, other)]
            if len(set(types)) != len(types):
                raise Refused("Cannot assign multiple credentials of one type.")
        tied.append(other)

    def tied(self, kind: str, number: int, relation: str) -> list[Json]:
        where = "workflow_job_template_nodes" if relation.endswith("_nodes") else relation
        return [self.objects[where][each] for each in self.ties[kind, number, relation]]

    def listing(self, kind: str, filters: dict[str, str]) -> list[Json]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        everything = [each for name in kinds for each in self.objects[name].values()]
        either = {name[4:]: value for name, value in filters.items() if name.startswith("or__")}
        every = {name: value for name, value in filters.items() if not name.startswith("or__")}
        return [
            each
            for each in everything
            if all(str(each.get(name)) == value for name, value in every.items())
            and (not either or any(str(each.get(name)) == value for name, value in either.items()))
        ]

    def shown(self, item: Json) -> Json:
        """An object as the API shows it: without secrets."""
        if item["type"] != "credential":
            return item
        fields = self.objects["credential_types"][item["credential_type"]]["inputs"]["fields"]
        secret = {field["id"] for field in fields if field.get("secret")}
        return {**item, "inputs": {key: ENCRYPTED if key in secret else value for key, value in item["inputs"].items()}}

    def _check(self, kind: str, fields: Json) -> None:
        if kind == "credential_types":
            rules.check_credential_type(fields)
        elif kind == "credentials":
            rules.check_credential(fields["inputs"], self.objects["credential_types"][fields["credential_type"]])
        elif kind == "schedules":
            rules.check_rrule(fields["rrule"])


class _Handler(BaseHTTPRequestHandler):
    awx: Awx

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.awx.token}":
            self._send(401, {"detail": "Authentication credentials were not provided."})
            return
        match = re.fullmatch(r"/api/v2/(\w+)/(?:(\d+)/(?:(\w+)/)?)?", parts.path)
        try:
            if not match or (match[1] not in KINDS and match[1] != "unified_job_templates"):
                raise KeyError(parts.path)
            data = json.loads(body) if body and method != "GET" else {}
            if match[2]:
                self._send(*self._one(method, match[1], int(match[2]), match[3] or "", data))
            else:
                self._send(*self._list(method, match[1], dict(parse_qsl(parts.query)), data))
        except Refused as refused:
            self._send(400, {"__all__": [str(refused)], "error": str(refused), "detail": str(refused)})
        except KeyError as missing:
            self._send(404, {"detail": f"Not found: {missing}"})

    def _list(self, method: str, kind: str, filters: dict[str, str], data: Json) -> tuple[int, Optional[Json]]:
        if method == "POST":
            return 201, self.awx.shown(self.awx.add(kind, data))
        return 200, self._results(self.awx.listing(kind, filters))

    def _one(self, method: str, kind: str, number: int, below: str, data: Json) -> tuple[int, Optional[Json]]:
        awx = self.awx
        item = awx.objects[kind][number]
        if below == "survey_spec":
            if method == "POST":
                rules.check_survey(data)
                awx.surveys[kind, number] = data
                return 200, None
            return 200, awx.surveys.get((kind, number), {})
        if below:
            if method == "POST":
                awx.tie(kind, number, below, int(data["id"]), bool(data.get("disassociate")))
                return 204, None
            return 200, self._results(awx.tied(kind, number, below))
        if method == "PATCH":
            return 200, awx.shown(awx.change(kind, number, data))
        return 200, awx.shown(item)

    def _results(self, found: list[Json]) -> Json:
        return {"count": len(found), "next": None, "previous": None, "results": [self.awx.shown(item) for item in found]}

    def _send(self, status: int, answer: Optional[Json]) -> None:
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", VERSION)
        self.end_headers()
        self.wfile.write(body)
