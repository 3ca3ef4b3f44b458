# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step behind ocne_cluster: the cluster that is there, or one that is made; and its removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional

from .. import _kubernetes_client as kube
from .._errors import OcneError
from .._files import locked
from .._imagebuild.progress import Progress
from .._module import Plan
from . import existing, receipts
from .kind import Kind
from .made import MadeCluster, Provider, State, kubeconfig_path, steps_to_absence, steps_to_presence

#: What can make clusters; the first is taken where none is asked for.
PROVIDERS: dict[str, Callable[[Mapping[str, Any]], Provider]] = {"kind": Kind}


class Cluster:
    """Finds a cluster that can build, or makes one; removes what a receipt says was made here."""

    def __init__(self, params: dict[str, Any], progress: Progress) -> None:
        self._params = params
        self._progress = progress
        self._name = receipts.checked_name(params["name"])

    def plan(self) -> Plan:
        return self._plan_absence() if self._params["state"] == "absent" else self._plan_presence()

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        cluster: MadeCluster = plan.context
        file = receipts.path(self._name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(file, self._params["wait_timeout"], self._progress):
            state = cluster.observe()  # another run may have been at work since the plan
            if self._params["state"] == "absent":
                cluster.remove(state)
                return {"changed": state.receipt is not None, **plan.result}
            steps = steps_to_presence(self._name, cluster.provider.name, state)
            if not steps:
                return {"changed": False, **self._result(cluster, self._ready(cluster), created=False)}
            self._progress(", ".join(steps), 0, None)
            facts = cluster.bring_up(state, self._params["namespace"], self._params["wait_timeout"])
            return self._result(cluster, facts, created=not state.whole)

    def _plan_presence(self) -> Plan:
        asked = self._params["provider"]
        if asked in ("auto", "existing"):
            access, facts = self._existing()
            if access and facts:
                found = {"provider": "existing", "name": kube.name(access), "kubeconfig": access.kubeconfig, "version": facts.version}
                return Plan((), found, found, {"created": False, **found})
            if asked == "existing":
                raise OcneError(f"There is no cluster: {self._sought()}.", "Name one by kubeconfig or context, or let one be made.")
        try:
            cluster = MadeCluster(self._name, self._provider())
        except OcneError as error:
            if asked != "auto":
                raise
            raise OcneError(f"There is no cluster: {self._sought()}. None can be made: {error.message}", error.hint) from error
        state = cluster.observe()
        steps = steps_to_presence(self._name, cluster.provider.name, state)
        if not steps:
            facts = self._ready(cluster)
            return Plan((), _described(cluster, state), _described(cluster, state), self._result(cluster, facts, created=False))
        after = {"provider": cluster.provider.name, "name": self._name, "kubeconfig": str(kubeconfig_path(self._name))}
        return Plan(steps, _described(cluster, state), {**after, "running": True}, {**after, "created": not state.whole}, cluster)

    def _plan_absence(self) -> Plan:
        receipt = receipts.read(self._name)
        result = {"name": self._name, "created": False}
        if not receipt or self._params["provider"] not in ("auto", receipt.provider):
            return Plan((), {}, {}, result)
        cluster = MadeCluster(self._name, self._provider(receipt.provider))
        state = cluster.observe()
        steps = steps_to_absence(self._name, receipt.provider, state)
        return Plan(steps, _described(cluster, state), {}, {"provider": receipt.provider, **result}, cluster)

    def _existing(self) -> tuple[Optional[kube.Access], Optional[existing.Facts]]:
        """The cluster that is there. One that somebody has named has to work; one that is only where one usually is may be gone."""
        access = kube.find(self._params)
        if not access:
            return None, None
        try:
            return access, existing.examine(access, self._params["namespace"])
        except kube.KubeconfigError:
            if access.named:
                raise
        except kube.ClusterError as error:
            if access.named or error.status:
                raise
        return None, None

    def _sought(self) -> str:
        access = kube.find(self._params)
        places = "neither kubeconfig, context nor host is given, KUBECONFIG is not set"
        if access:
            return f"{places}, and that of {access.origin} does not answer"
        return f"{places}, there is no {kube.DEFAULT_KUBECONFIG}, and this is no pod"

    def _provider(self, name: str = "") -> Provider:
        asked = name or self._params["provider"]
        return PROVIDERS[next(iter(PROVIDERS)) if asked == "auto" else asked](self._params)

    def _ready(self, cluster: MadeCluster) -> existing.Facts:
        return existing.wait(cluster.access, self._params["namespace"], self._params["wait_timeout"])

    def _result(self, cluster: MadeCluster, facts: existing.Facts, created: bool) -> dict[str, Any]:
        kubeconfig = str(kubeconfig_path(self._name))
        return {
            "kubeconfig": kubeconfig,
            "provider": cluster.provider.name,
            "name": self._name,
            "version": facts.version,
            "created": created,
        }


def _described(cluster: MadeCluster, state: State) -> dict[str, Any]:
    """A cluster of ours, for the diff."""
    if not state.receipt or not state.ours:
        return {}
    kubeconfig = {"kubeconfig": state.receipt.kubeconfig} if state.kubeconfig_exists else {}
    return {"provider": cluster.provider.name, "name": cluster.name, "running": not state.stopped, **kubeconfig}
