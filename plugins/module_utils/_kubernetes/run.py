# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build on a cluster, from its Job to the removal of all that belonged to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Optional

from .._errors import OcneError
from .._kubernetes_client import ClusterError
from .._shield import uninterrupted
from . import manifest
from .cluster import KINDS, Cluster
from .diagnosis import FAILED, NODES, REFUSED_BY, RUNNING, WAITING, Situation, judge
from .exec import RemoteProcess
from .manifest import BUILDER, MANAGED_BY, Build, Placement, claim_name, is_ours
from .receipts import RECEIPTS_FOLDER, Held, Receipt, settle
from .room import check_room
from .transfer import Progress

#: Seconds between two looks at a pod.
_PAUSE = 0.5
#: Seconds without an answer that a build survives: the API server may be restarted, or elect a new leader.
_PATIENCE = 120.0
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
        # Builds give back what they hold: it is waited for.
        check_room(
            nodes, [pod for pod in pods if not is_ours(pod)], manifest.requests(placement), placement.node_selector, placement.tolerations
        )
    if not cluster.has_namespace(placement.namespace):
        labels = {MANAGED_BY[0]: MANAGED_BY[1], "pod-security.kubernetes.io/enforce": "restricted"}
        cluster.create_namespace(placement.namespace, labels)


def remove_abandoned(cluster: Cluster) -> None:
    """Remove the Jobs of killed runs that receipts name, as far as they carry our label; what they own goes with them.

    Those of a namespace that we may not look into any more stay until somebody may, or until they end by themselves.
    """

    def remove(receipt: Receipt) -> bool:
        try:
            job = cluster.job(receipt.namespace, receipt.name)
            if job and is_ours(job):
                cluster.delete("Job", receipt.namespace, receipt.name, job["metadata"]["uid"])
        except ClusterError as error:
            if error.passing:
                raise
            return False
        return True

    settle(Path(RECEIPTS_FOLDER).expanduser(), cluster.server, remove)


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
        self._begun = False

    def __enter__(self) -> Run:
        try:
            self._begin()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._receipt is None:
            return
        # A signal ends the run, not its clean-up, which has a limit of its own.
        with uninterrupted():
            try:
                gone = self._remove() if self._begun else True
            except ClusterError as problem:
                gone = False
                if isinstance(error, OcneError):
                    error.hint = f"{error.hint} {self._left(problem)}".strip()
            self._receipt.release(gone)

    def _begin(self) -> None:
        cluster, build, placement = self._cluster, self._build, self._placement
        self._receipt = Held(Path(RECEIPTS_FOLDER).expanduser(), Receipt(cluster.server, placement.namespace, build.name))
        self._begun = True
        cluster.patience = _PATIENCE
        try:
            cluster.create(manifest.job(build, placement))
        except ClusterError as error:
            self._begun = error.passing  # else it was refused, and nothing is there
            raise
        job = cluster.job(placement.namespace, build.name)
        if job is None:
            raise OcneError(
                f"Job {placement.namespace}/{build.name} was deleted as soon as it was there.", "Find out who or what does that."
            )
        cluster.create(manifest.config_map(build, placement, job))
        if build.secrets:
            cluster.create(manifest.secret(build, placement, job))

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
        events = self._events(situation.pod if situation else "")
        situation = judge(self._cluster.job(namespace, name), pods, events)
        if situation.lacks and self._others_build(situation.lacks):
            return Situation(WAITING, f"other builds run, and this one waits: {situation.told}", pod=situation.pod)
        if situation.state == FAILED:
            raise self._error(situation)
        if situation.state == REFUSED_BY:
            log = self._cluster.log(namespace, situation.pod, situation.container, _LOG_LINES)
            raise StepRefused(self._error(situation).message, situation.container, log)
        return situation

    def _events(self, pod: str) -> list[dict[str, Any]]:
        """What happened to the Job, to a pod of it, and to that one's volume claim."""
        names = [self._build.name, *([pod] if pod else []), *([claim_name(pod)] if pod and self._placement.storage_class else [])]
        return [event for each in names for event in self._cluster.events(self._placement.namespace, each)]

    def _others_build(self, where: str) -> bool:
        """Whether other builds hold room, of the nodes or of the namespace: they give it back."""
        namespace, name = self._placement.namespace, self._build.name
        pods = [pod for pod in self._cluster.builds(namespace) if where == NODES or pod["metadata"]["namespace"] == namespace]
        return any(pod["metadata"]["labels"].get("job-name") != name and pod["spec"].get("nodeName") for pod in pods)

    def _error(self, situation: Situation) -> OcneError:
        return OcneError(f"The build {self._placement.namespace}/{self._build.name} did not succeed: {situation.told}.", situation.hint)

    def _remove(self) -> bool:
        """Remove everything. Returns whether all of it is gone."""
        namespace, name = self._placement.namespace, self._build.name
        self._cluster.patience = _CLEAN_UP_PATIENCE
        deadline = self._clock() + _REMOVAL
        # What is deleted stays for a while, and what is deleted again tells whether it still does: nobody needs the right to read it.
        while sum(self._cluster.delete(kind, namespace, name) for kind in KINDS) or self._cluster.pods(namespace, name):
            if self._clock() > deadline:
                return False
            self._sleep(_PAUSE / 2)
        return True

    def _left(self, problem: ClusterError) -> str:
        what = f"Job {self._placement.namespace}/{self._build.name}"
        return f"{what} could not be removed ({problem.message}): it ends by itself, and the next run removes it."
