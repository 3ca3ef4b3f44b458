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
from .libvirt.provider import BootDisk, Libvirt
from .made import FORCE, MadeCluster, Provider, State, kubeconfig_path, steps_to_absence, steps_to_presence

#: What can make clusters; where none is asked for, the first that can.
PROVIDERS: dict[str, Callable[[Mapping[str, Any], Progress, BootDisk], Provider]] = {
    "libvirt": Libvirt,
    "kind": lambda params, _progress, _boot_disk: Kind(params),
}


class Cluster:
    """Finds a cluster that can build, or makes one; removes what a receipt says was made here."""

    def __init__(self, params: dict[str, Any], progress: Progress, boot_disk: BootDisk) -> None:
        self._params = params
        self._progress = progress
        self._boot_disk = boot_disk
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
            if self._params["force"] and self._faults(cluster, state):
                self._progress(f"remove the {cluster.provider.name} cluster {self._name}", 0, None)
                cluster.remove(state)
                state = cluster.observe()
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
        cluster = MadeCluster(self._name, self._provider())
        state = cluster.observe()
        faults = self._faults(cluster, state)
        if faults and not self._params["force"]:
            raise OcneError(f"The {cluster.provider.name} cluster {self._name} is not as asked for: {'; '.join(faults)}.", FORCE)
        steps = steps_to_presence(self._name, cluster.provider.name, State(None) if faults else state)
        if not steps:
            facts = self._ready(cluster)
            return Plan((), _described(cluster, state), _described(cluster, state), self._result(cluster, facts, created=False))
        removal = (f"remove the {cluster.provider.name} cluster {self._name}: {'; '.join(faults)}",) if faults else ()
        after = {"provider": cluster.provider.name, "name": self._name, "kubeconfig": str(kubeconfig_path(self._name))}
        created = bool(faults) or not state.whole
        return Plan((*removal, *steps), _described(cluster, state), {**after, "running": True}, {**after, "created": created}, cluster)

    def _faults(self, cluster: MadeCluster, state: State) -> list[str]:
        """Why a whole cluster of ours is not the one that is asked for, for people; with force, whether it works counts, too."""
        if not state.whole or not state.receipt:
            return []
        faults = cluster.provider.differences(state.receipt)
        if self._params["force"] and not faults and not state.stopped and state.kubeconfig_exists:
            try:
                existing.examine(cluster.access, self._params["namespace"])
            except OcneError as error:
                return [f"it does not work ({error.message.rstrip('.')})"]
        return faults

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
        """The provider that is asked for, or that has made the cluster; else the first that can make one.

        :raises OcneError: there is none; with what each of them lacks.
        """
        asked, receipt = name or self._params["provider"], receipts.read(self._name)
        if receipt and asked not in ("auto", receipt.provider):
            raise OcneError(
                f"The cluster {self._name} has been made with {receipt.provider}.", f"Choose another name, or provider {receipt.provider}."
            )
        if asked != "auto" or receipt:
            return PROVIDERS[receipt.provider if receipt else asked](self._params, self._progress, self._boot_disk)
        lacking = []
        for each, provider in PROVIDERS.items():
            try:
                return provider(self._params, self._progress, self._boot_disk)
            except OcneError as error:
                lacking.append(f"{each}: {error.message}")
        raise OcneError(
            f"There is no cluster: {self._sought()}. None can be made. {' '.join(lacking)}",
            "Install libvirt with QEMU, or kind with docker or podman; or name a cluster that runs by kubeconfig or context.",
        )

    def _ready(self, cluster: MadeCluster) -> existing.Facts:
        return cluster.ready(self._params["namespace"], self._params["wait_timeout"])

    def _result(self, cluster: MadeCluster, facts: existing.Facts, created: bool) -> dict[str, Any]:
        kubeconfig = str(kubeconfig_path(self._name))
        return {
            "kubeconfig": kubeconfig,
            "provider": cluster.provider.name,
            "name": self._name,
            "version": facts.version,
            "created": created,
            **_hypervisor(self._name),
        }


def _described(cluster: MadeCluster, state: State) -> dict[str, Any]:
    """A cluster of ours, for the diff."""
    if not state.receipt or not state.ours:
        return {}
    kubeconfig = {"kubeconfig": state.receipt.kubeconfig} if state.kubeconfig_exists else {}
    return {"provider": cluster.provider.name, "name": cluster.name, "running": not state.stopped, **kubeconfig}


def _hypervisor(name: str) -> dict[str, Any]:
    """How the processor of the cluster's machine runs, where it has one: 'kvm', or 'tcg' where it is emulated."""
    receipt = receipts.read(name)
    known = receipt.owned.get("hypervisor") if receipt else None
    return {"hypervisor": "tcg" if known == "qemu" else known} if known else {}
