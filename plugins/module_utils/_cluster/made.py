# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of a cluster of ours, whatever provides it: receipt, creation, its parts, removal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Protocol

from .. import _kubernetes_client as kube
from .._errors import OcneError
from .._files import write_private
from . import existing, receipts
from .receipts import Receipt


class Machine(Protocol):
    """A node's container or virtual machine."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def running(self) -> bool:
        """Whether it runs now."""


class Provider(Protocol):
    """What makes clusters."""

    @property
    def name(self) -> str:
        """What it is called."""

    def machines(self, name: str) -> Sequence[Any]:
        """The machines of the cluster of that name, whoever made them."""

    def reserve(self) -> dict[str, Any]:
        """What a receipt will know the machines by: chosen before they are made."""

    def is_ours(self, machine: Any, receipt: Receipt) -> bool:
        """Whether the receipt names this very machine."""

    def create(self, receipt: Receipt) -> dict[str, Any]:
        """Make the cluster; with it, all that it is known by."""

    def differences(self, receipt: Receipt) -> list[str]:
        """In what the cluster that is there is not the one that is asked for, for people."""

    def kubeconfig(self, name: str) -> bytes:
        """The kubeconfig of the cluster's administrator."""

    def complete(self, receipt: Receipt, access: kube.Access, deadline: float) -> None:
        """Give a new cluster what it lacks, until the deadline (time.monotonic())."""

    def last_words(self, receipt: Receipt) -> str:
        """What a machine that does not get ready has said last, for people; '' where that is not known."""

    def start(self, machines: Sequence[Any]) -> None:
        """Start machines that are stopped."""

    def remove(self, receipt: Receipt, machines: Sequence[Any]) -> None:
        """Remove these machines and all else that the receipt names."""


def kubeconfig_path(name: str) -> Path:
    """Where the kubeconfig of a cluster of ours lies: a file of its own, so that the user's is never touched."""
    return Path(f"~/.kube/kubeconfig.{name}.local").expanduser()


@dataclass(frozen=True)
class State:
    """What there is of a cluster.

    :param ours: its machines that the receipt names.
    :param others: machines of a cluster of the same name that somebody else has made.
    """

    receipt: Optional[Receipt]
    ours: tuple[Any, ...] = ()
    others: tuple[Any, ...] = ()
    kubeconfig_exists: bool = False

    @property
    def whole(self) -> bool:
        return bool(self.receipt and self.receipt.complete and self.ours)

    @property
    def stopped(self) -> tuple[Any, ...]:
        return tuple(machine for machine in self.ours if not machine.running)


def steps_to_presence(name: str, provider: str, state: State) -> tuple[str, ...]:
    """What is to be done for the cluster to be there.

    :raises OcneError: the name is taken by a cluster that we have not made.
    """
    if state.others:
        taken = ", ".join(machine.name for machine in state.others)
        raise OcneError(
            f"There is a {provider} cluster {name} already ({taken}), and no receipt says that it was made here.",
            "Choose another name, or use that cluster by its kubeconfig.",
        )
    path = kubeconfig_path(name)
    if not state.whole:
        left = (f"remove what an ended run left of the {provider} cluster {name}",) if state.ours else ()
        return (*left, f"make the {provider} cluster {name}", f"write {path}")
    started = (f"start the {provider} cluster {name}",) if state.stopped else ()
    return (*started, *(() if state.kubeconfig_exists else (f"write {path}",)))


def steps_to_absence(name: str, provider: str, state: State) -> tuple[str, ...]:
    """What is to be done for nothing of ours to be there; machines of others stay."""
    if not state.receipt:
        return ()
    removal = (f"remove the {provider} cluster {name}",) if state.ours else (f"forget the {provider} cluster {name}, which is gone",)
    return (*removal, *((f"remove {kubeconfig_path(name)}",) if state.kubeconfig_exists else ()))


#: What to do about a cluster of ours that is not as it should be.
FORCE = "Set force to make it anew."


class MadeCluster:
    """A cluster that is ours, or will be."""

    def __init__(self, name: str, provider: Provider) -> None:
        self.name = name
        self.provider = provider

    @property
    def access(self) -> kube.Access:
        path = kubeconfig_path(self.name)
        return kube.Access(f"kubeconfig {path}", True, str(path))

    def observe(self) -> State:
        receipt = receipts.read(self.name)
        machines = self.provider.machines(self.name)
        ours = tuple(machine for machine in machines if receipt and self.provider.is_ours(machine, receipt))
        others = tuple(machine for machine in machines if machine not in ours)
        return State(receipt, ours, others, kubeconfig_path(self.name).exists())

    def bring_up(self, state: State, namespace: str, timeout: float) -> existing.Facts:
        """Make the cluster, or what is missing of it, and wait until it can build.

        :param timeout: seconds until it is ready, from when its machines run.
        """
        if not state.whole:
            return self._make(state, namespace, timeout)
        self.provider.start(state.stopped)
        if not state.kubeconfig_exists:
            write_private(kubeconfig_path(self.name), self.provider.kubeconfig(self.name))
        return self.ready(namespace, timeout)

    def ready(self, namespace: str, timeout: float) -> existing.Facts:
        """Wait until the cluster, which was made before, can build.

        :raises OcneError: it does not come to that.
        """
        try:
            return existing.wait(self.access, namespace, timeout)
        except OcneError as error:
            raise OcneError(error.message, f"{error.hint} {FORCE}", **error.details) from error

    def _make(self, state: State, namespace: str, timeout: float) -> existing.Facts:
        self.remove(state)
        receipt = Receipt(self.name, self.provider.name, str(kubeconfig_path(self.name)), self.provider.reserve())
        receipts.write(receipt)
        try:
            receipt = replace(receipt, owned=self.provider.create(receipt))
            receipts.write(receipt)
            deadline = time.monotonic() + timeout
            write_private(kubeconfig_path(self.name), self.provider.kubeconfig(self.name))
            with self._explained(receipt):
                self.provider.complete(receipt, self.access, deadline)
                facts = existing.wait(self.access, namespace, deadline - time.monotonic())
            receipts.write(replace(receipt, complete=True))
            return facts
        except BaseException:
            self.remove(self.observe())
            raise

    @contextmanager
    def _explained(self, receipt: Receipt) -> Iterator[None]:
        """Add what the machine has said last to an error."""
        try:
            yield
        except OcneError as error:
            said = ""
            with suppress(OcneError):  # the first error counts
                said = self.provider.last_words(receipt)
            if not said:
                raise
            message = f"{error.message} The last lines of its console:\n{said}\n"
            raise OcneError(message, error.hint, **error.details) from error

    def remove(self, state: State) -> None:
        """Remove what the receipt names, and the receipt last."""
        if not state.receipt:
            return
        self.provider.remove(state.receipt, state.ours)
        kubeconfig_path(self.name).unlink(missing_ok=True)
        receipts.remove(self.name)
