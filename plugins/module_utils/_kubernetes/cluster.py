# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's API as this collection uses it: JSON in and out, and one way to try again.

Objects are dicts, as kubectl shows them in JSON.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional, TypeVar

from .._errors import OcneError
from .._kubernetes_client import REQUEST_TIMEOUT, ClusterError, connect, doing, find, library
from .exec import RemoteProcess
from .manifest import MANAGED_BY

T = TypeVar("T")
Object = dict[str, Any]

#: What a build consists of.
KINDS = ("Job", "Secret", "ConfigMap")
_NOT_ENDED = "status.phase!=Succeeded,status.phase!=Failed"
_CONFLICT, _MISSING, _FORBIDDEN, _UNKNOWN = 409, 404, 403, 401
#: Seconds that an API server may take, once it answers, until it knows who may do what.
_COMING_UP = 30.0


class Cluster:
    """One cluster, as one identity.

    :param client: an ApiClient.
    :param origin: what named the cluster, for messages.
    """

    def __init__(
        self, client: Any, origin: str, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        api = library("client")
        self._client = client
        self._core = api.CoreV1Api(client)
        self._batch = api.BatchV1Api(client)
        self._sleep, self._clock = sleep, clock
        self.origin = origin
        #: Seconds to go on trying while the API server does not answer. Little, until there is something to lose.
        self.patience = 10.0
        # When it last did not answer.
        self._away = float("-inf")
        #: URL of the API server: what tells one cluster from another.
        self.server = str(client.configuration.host)

    # Nodes and namespaces

    def nodes(self) -> Optional[list[Object]]:
        """All nodes; None where we may not list them."""
        return self._allowed(lambda: self._list(self._core.list_node, "list the nodes"))

    def all_pods(self) -> Optional[list[Object]]:
        """The pods of all namespaces that have not ended; None where we may not list them."""
        list_pods = self._core.list_pod_for_all_namespaces
        return self._allowed(lambda: self._list(list_pods, "list all pods", field_selector=_NOT_ENDED))

    def builds(self, namespace: str) -> list[Object]:
        """The pods of builds that have not ended, in all namespaces or, where we may not list those, in this one."""
        chosen = {"field_selector": _NOT_ENDED, "label_selector": "=".join(MANAGED_BY)}
        found = self._allowed(lambda: self._list(self._core.list_pod_for_all_namespaces, "list all builds", **chosen))
        if found is None:
            found = self._list(self._core.list_namespaced_pod, f"list the builds in {namespace}", namespace=namespace, **chosen)
        return found

    def has_namespace(self, name: str) -> bool:
        """Whether the namespace is there; assumed where we may not look."""
        try:
            self._try(f"read namespace {name}", lambda: self._core.read_namespace(name, _request_timeout=REQUEST_TIMEOUT))
        except ClusterError as error:
            if error.status == _MISSING:
                return False
            if error.status != _FORBIDDEN:
                raise
        return True

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Make the namespace, unless it is there."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}
        try:
            self._try(f"create namespace {name}", lambda: self._core.create_namespace(body, _request_timeout=REQUEST_TIMEOUT))
        except ClusterError as error:
            if error.status != _CONFLICT:
                raise

    # What a build consists of

    def create(self, manifest: Object) -> None:
        """Make a Job, a Secret or a ConfigMap. Its name is unique, so one that is there is the one of an answer that was lost."""
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        create = self._verb("create", kind)
        try:
            self._try(f"create {kind} {namespace}/{name}", lambda: create(namespace, manifest, _request_timeout=REQUEST_TIMEOUT))
        except ClusterError as error:
            if error.status != _CONFLICT:
                raise

    def job(self, namespace: str, name: str) -> Optional[Object]:
        """A Job; None where it is not there."""
        read = self._batch.read_namespaced_job
        try:
            return self._plain(self._try(f"read Job {namespace}/{name}", lambda: read(name, namespace, _request_timeout=REQUEST_TIMEOUT)))
        except ClusterError as error:
            if error.status == _MISSING:
                return None
            raise

    def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        """Remove a Job with its pods, a Secret or a ConfigMap.

        :param uid: only the object with this identity; another one of its name stays.
        :returns: whether it was still there.
        """
        delete = self._verb("delete", kind)
        body: Object = {"propagationPolicy": "Background", **({"preconditions": {"uid": uid}} if uid else {})}
        try:
            self._try(f"delete {kind} {namespace}/{name}", lambda: delete(name, namespace, body=body, _request_timeout=REQUEST_TIMEOUT))
        except ClusterError as error:
            if error.status not in (_MISSING, _CONFLICT):
                raise
            return False
        return True

    def pods(self, namespace: str, job: str) -> list[Object]:
        """The pods of a Job, the oldest first."""
        selector = f"job-name={job}"
        list_pods = self._core.list_namespaced_pod
        pods = self._list(list_pods, f"list the pods of Job {namespace}/{job}", namespace=namespace, label_selector=selector)
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))

    def events(self, namespace: str, name: str) -> list[Object]:
        """What happened to an object, the oldest first; nothing where we may not look."""
        selector = f"involvedObject.name={name}"
        list_events = self._core.list_namespaced_event
        found = self._allowed(
            lambda: self._list(list_events, f"list the events of {namespace}/{name}", namespace=namespace, field_selector=selector)
        )
        return sorted(found or [], key=_time_of)

    def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """The last lines that a container wrote; '' where there is none yet."""
        read = self._core.read_namespaced_pod_log
        try:
            answer = self._try(
                f"read the log of {namespace}/{pod}",
                lambda: read(
                    pod, namespace, container=container, tail_lines=lines, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
                ),
            )
        except ClusterError as error:
            if error.status in (400, _MISSING):
                return ""  # the container has not started, or its pod is gone
            raise
        return bytes(answer.data).decode(errors="replace")

    def run(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> RemoteProcess:
        """A process in a container, with pipes to it. Not tried again: only the caller knows what has arrived.

        :raises ClusterError: it cannot be started.
        """
        library("stream")
        stream = library("stream.stream").stream
        api = library("client")
        # stream() swaps a method of its ApiClient, which others may be using: it gets one of its own.
        core = api.CoreV1Api(api.ApiClient(self._client.configuration))
        with self._doing(f"start {command[0]} in {namespace}/{pod}"):
            connection = stream(
                core.connect_get_namespaced_pod_exec,
                pod,
                namespace,
                container=container,
                command=list(command),
                stdin=True,
                stdout=True,
                stderr=True,
                tty=False,
                binary=True,
                _preload_content=False,
            )
        return RemoteProcess(connection.sock, f"{namespace}/{pod}")

    # How

    def _verb(self, verb: str, kind: str) -> Callable[..., Any]:
        methods = {
            "Job": (self._batch, "namespaced_job"),
            "Secret": (self._core, "namespaced_secret"),
            "ConfigMap": (self._core, "namespaced_config_map"),
        }
        api, name = methods[kind]
        method: Callable[..., Any] = getattr(api, f"{verb}_{name}")
        return method

    def _list(self, method: Callable[..., Any], what: str, **options: Any) -> list[Object]:
        items: list[Object] = []
        page = {"limit": 500, "_continue": ""}
        while True:
            answer = self._plain(self._try(what, lambda: method(**page, _request_timeout=REQUEST_TIMEOUT, **options)))
            items += answer.get("items") or []
            page["_continue"] = (answer.get("metadata") or {}).get("continue") or ""
            if not page["_continue"]:
                return items

    def _plain(self, answer: Any) -> Object:
        plain: Object = self._client.sanitize_for_serialization(answer)
        return plain

    def _allowed(self, call: Callable[[], T]) -> Optional[T]:
        try:
            return call()
        except ClusterError as error:
            if error.status == _FORBIDDEN:
                return None
            raise

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """doing(), and a server that has just come up is not believed to refuse: it does not know its roles yet."""
        try:
            with doing(what):
                yield
        except ClusterError as error:
            if error.passing:
                self._away = self._clock()
            error.passing = error.passing or (error.status in (_UNKNOWN, _FORBIDDEN) and self._clock() - self._away < _COMING_UP)
            raise

    def _try(self, what: str, call: Callable[[], T]) -> T:
        """Call until the API server answers."""
        deadline, pause = self._clock() + self.patience, 0.5
        while True:
            try:
                with self._doing(f"{what} on the cluster at {self.server}"):
                    return call()
            except ClusterError as error:
                if not error.passing or self._clock() + pause > deadline:
                    raise
            self._sleep(pause)
            pause = min(pause * 2, 5.0)


def open_cluster(params: Mapping[str, Any]) -> Cluster:
    """The cluster that a module's options name. Nothing is sent to it yet.

    :raises OcneError: none is named.
    """
    access = find(params)
    if access is None:
        raise OcneError(
            "There is no cluster to build on: no kubeconfig is given or where one usually is, and this is no pod.",
            "Set kubeconfig, make a cluster with the module ocne_cluster, or build here with builder: local.",
        )
    return Cluster(connect(access), access.origin)


def _time_of(event: Object) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((str(time) for time in times if time), "")
