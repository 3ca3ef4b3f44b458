# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build on a cluster, from its Job to the removal of all that belonged to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional

from .._errors import OcneError
from .._kubernetes_client import ClusterError
from . import manifest
from .cluster import KINDS, Cluster
from .diagnosis import FAILED, REFUSED_BY, RUNNING, Situation, judge
from .exec import RemoteProcess
from .manifest import BUILDER, MANAGED_BY, Build, Placement
from .receipts import RECEIPTS_FOLDER, Held, Receipt, abandoned
from .room import check_room
from .transfer import Progress

#: Seconds between two looks at a pod.
_PAUSE = 0.5
#: Seconds that a removal may take until it is left to the cluster, and to the next run.
_REMOVAL = 60.0
_CLEAN_UP_PATIENCE = 15.0
_LOG_LINES = 50


class PodGone(Exception):
    """The pod was ended from outside. Its Job starts another one, which knows nothing of it."""


class StepRefused(OcneError):
    """A container ended with an error of its own.

    :param container: its name.
    :param log: the last lines that it wrote.
    """

    def __init__(self, message: str, container: str, log: str) -> None:
        super().__init__(message)
        self.container = container
        self.log = log


def prepare(cluster: Cluster, placement: Placement) -> None:
    """Remove what killed runs have left; make sure of room; make the namespace where it is missing.

    :raises OcneError: the build cannot run there. Nothing was begun.
    """
    remove_abandoned(cluster)
    nodes, pods = cluster.nodes(), cluster.all_pods()
    # Who may not look at nodes learns from the pod's events that there is no room.
    if nodes is not None and pods is not None:
        check_room(nodes, pods, manifest.requests(placement), placement.node_selector, placement.tolerations)
    if not cluster.has_namespace(placement.namespace):
        labels = {MANAGED_BY[0]: MANAGED_BY[1], "pod-security.kubernetes.io/enforce": "restricted"}
        cluster.create_namespace(placement.namespace, labels)


def remove_abandoned(cluster: Cluster) -> None:
    """Remove what receipts of killed runs name, as far as it carries our label."""
    for receipt in abandoned(Path(RECEIPTS_FOLDER).expanduser(), cluster.server):
        for kind in KINDS:
            found = cluster.get(kind, receipt.namespace, receipt.name)
            if found and (found["metadata"].get("labels") or {}).get(MANAGED_BY[0]) == MANAGED_BY[1]:
                cluster.delete(kind, receipt.namespace, receipt.name, found["metadata"]["uid"])


class Run:
    """A context manager: within it the build's objects are on the cluster, and when it is left they are gone.

    :param progress: is told what is waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        build: Build,
        placement: Placement,
        progress: Progress,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._build, self._placement = cluster, build, placement
        self._progress, self._sleep, self._clock = progress, sleep, clock
        self._receipt: Optional[Held] = None

    def __enter__(self) -> Run:
        receipt = Receipt(self._cluster.server, self._placement.namespace, self._build.name)
        self._receipt = Held(Path(RECEIPTS_FOLDER).expanduser(), receipt)
        try:
            job = self._cluster.create(manifest.job(self._build, self._placement))
        except ClusterError as error:
            self._receipt.release(done=error.status not in (0, 429) and error.status < 500)
            raise
        try:
            self._cluster.create(manifest.config_map(self._build, self._placement, job))
            if self._build.secrets:
                self._cluster.create(manifest.secret(self._build, self._placement, job))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._receipt is None:
            return
        try:
            gone = self._remove()
        except ClusterError as problem:
            gone = False
            if isinstance(error, OcneError):
                error.hint = f"{error.hint} {self._left(problem)}".strip()
        self._receipt.release(gone)

    def wait_until_running(self) -> str:
        """The pod whose builder runs.

        :raises StepRefused: a container ended with an error of its own.
        :raises OcneError: the build cannot come up; what its pod and events say.
        """
        trouble_since: Optional[float] = None
        while True:
            situation = self._look()
            if situation.state == RUNNING:
                return situation.pod
            if situation.patience is None:
                trouble_since = None
            else:
                trouble_since = self._clock() if trouble_since is None else trouble_since
                if self._clock() - trouble_since >= situation.patience:
                    raise self._error(situation)
            self._progress(situation.told, 0, None)
            self._sleep(_PAUSE)

    def check(self, pod: str) -> None:
        """:raises PodGone: the builder in this pod does not run any more, and another pod takes its place."""
        situation = self._look()
        if situation.state != RUNNING or situation.pod != pod:
            raise PodGone(situation.told)

    def last_lines(self, pod: str) -> list[str]:
        """The last lines that the builder wrote, the last one first."""
        return self._cluster.log(self._placement.namespace, pod, BUILDER, _LOG_LINES).splitlines()[::-1]

    def process(self, pod: str, command: Sequence[str]) -> RemoteProcess:
        """A process in the builder's container."""
        return self._cluster.run(self._placement.namespace, pod, BUILDER, command)

    def pause(self) -> None:
        self._sleep(_PAUSE)

    def _look(self) -> Situation:
        """How the build stands.

        :raises StepRefused: a container ended with an error of its own.
        :raises OcneError: it failed.
        """
        namespace, name = self._placement.namespace, self._build.name
        pods = self._cluster.pods(namespace, name)
        situation = judge({}, pods, []) if pods else None
        if situation and situation.state == RUNNING:
            return situation  # the usual case: one request
        events = [event for each in (name, situation.pod if situation else "") if each for event in self._cluster.events(namespace, each)]
        situation = judge(self._cluster.get("Job", namespace, name), pods, events)
        if situation.state == FAILED:
            raise self._error(situation)
        if situation.state == REFUSED_BY:
            log = self._cluster.log(namespace, situation.pod, situation.container, _LOG_LINES)
            raise StepRefused(self._error(situation).message, situation.container, log)
        return situation

    def _error(self, situation: Situation) -> OcneError:
        return OcneError(f"The build {self._placement.namespace}/{self._build.name} did not succeed: {situation.told}.", situation.hint)

    def _remove(self) -> bool:
        """Remove everything. Returns whether all of it is gone."""
        namespace, name = self._placement.namespace, self._build.name
        self._cluster.patience = _CLEAN_UP_PATIENCE
        for kind in KINDS:
            self._cluster.delete(kind, namespace, name)
        deadline = self._clock() + _REMOVAL
        while self._cluster.pods(namespace, name) or any(self._cluster.get(kind, namespace, name) for kind in KINDS):
            if self._clock() > deadline:
                return False
            self._sleep(_PAUSE / 2)
        return True

    def _left(self, problem: ClusterError) -> str:
        what = f"Job {self._placement.namespace}/{self._build.name}"
        return f"{what} could not be removed ({problem.message}): it ends by itself, and the next run removes it."
