# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._cluster import existing, made, receipts
from ansible_collections.ocne.images.plugins.module_utils._cluster.kind import Container, Kind, _reason, parse_containers
from ansible_collections.ocne.images.plugins.module_utils._cluster.made import MadeCluster, State, steps_to_absence, steps_to_presence
from ansible_collections.ocne.images.plugins.module_utils._cluster.receipts import Receipt
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError

OURS = Container("id-1", "c-control-plane", True, 40000)
RECEIPT = Receipt("c", "kind", "/home/.kube/kubeconfig.c.local", {"api_server_port": 40000, "containers": ["id-1"]}, True)


def test_a_receipt_is_read_as_it_was_written_and_for_this_user_only() -> None:
    receipts.write(RECEIPT)
    assert receipts.read("c") == RECEIPT
    assert receipts.path("c").stat().st_mode & 0o777 == 0o600
    assert receipts.path("c").parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in receipts.path("c").parent.iterdir()] == ["c.json"]
    receipts.remove("c")
    assert receipts.read("c") is None
    receipts.remove("c")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "name": "c"}'])
def test_a_damaged_receipt_is_not_taken_for_none(content: str) -> None:
    receipts.path("c").parent.mkdir(parents=True)
    receipts.path("c").write_text(content)
    with pytest.raises(OcneError, match="cannot be understood"):
        receipts.read("c")


@pytest.mark.parametrize("name", ["", "..", "../c", "a/b", "-a", "a-", "A", "a.b", "a b", "a" * 43])
def test_names_that_no_cluster_can_have(name: str) -> None:
    with pytest.raises(OcneError, match="cannot be called"):
        receipts.checked_name(name)


def test_names_that_it_can_have() -> None:
    assert [receipts.checked_name(name) for name in ("a", "ocne-ephemeral", "a" * 42)]


def steps(state: State) -> tuple[str, ...]:
    return steps_to_presence("c", "kind", state)


def test_steps_to_presence(home: Path) -> None:
    kubeconfig = home / ".kube/kubeconfig.c.local"
    assert steps(State(None)) == ("make the kind cluster c", f"write {kubeconfig}")
    assert steps(State(RECEIPT)) == ("make the kind cluster c", f"write {kubeconfig}"), "it is gone, and the receipt is not"
    assert steps(State(RECEIPT, (OURS,), (), True)) == ()
    assert steps(State(RECEIPT, (OURS,))) == (f"write {kubeconfig}",)
    stopped = Container("id-1", "c-control-plane", False, 40000)
    assert steps(State(RECEIPT, (stopped,), (), True)) == ("start the kind cluster c",)
    unfinished = Receipt("c", "kind", "", {"api_server_port": 40000, "containers": []})
    assert steps(State(unfinished, (OURS,))) == ("remove what an ended run left of the kind cluster c", *steps(State(None)))


def test_a_cluster_of_somebody_else_is_neither_taken_nor_removed() -> None:
    for receipt in (None, RECEIPT):
        with pytest.raises(OcneError, match="c-control-plane"):
            steps(State(receipt, (), (OURS,)))
    assert steps_to_absence("c", "kind", State(None, (), (OURS,))) == ()
    assert not any("remove the kind" in step for step in steps_to_absence("c", "kind", State(RECEIPT, (), (OURS,), True)))


def test_steps_to_absence(home: Path) -> None:
    kubeconfig = home / ".kube/kubeconfig.c.local"
    assert steps_to_absence("c", "kind", State(None)) == ()
    assert steps_to_absence("c", "kind", State(RECEIPT, (OURS,), (), True)) == ("remove the kind cluster c", f"remove {kubeconfig}")
    assert steps_to_absence("c", "kind", State(RECEIPT)) == ("forget the kind cluster c, which is gone",)


@pytest.mark.parametrize(
    ("container", "containers", "ours"),
    [
        (Container("id-1", "n", True, 1), ["id-1"], True),
        (Container("id-2", "n", True, 40000), ["id-1"], False),
        (Container("id-2", "n", True, 40000), [], True),
        (Container("id-2", "n", True, 40001), [], False),
    ],
)
def test_a_container_is_ours_by_its_id_or_by_the_port_chosen_for_it(container: Container, containers: list[str], ours: bool) -> None:
    kind = Kind.__new__(Kind)
    assert kind.is_ours(container, Receipt("c", "kind", "", {"api_server_port": 40000, "containers": containers})) is ours


@pytest.mark.parametrize("bindings", [{"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40000"}]}, {"6443/tcp": []}, {}, None])
def test_what_the_engine_tells_of_a_node(bindings: Any) -> None:
    value = {"Id": "id-1", "Name": "/c-control-plane", "State": {"Running": True}, "HostConfig": {"PortBindings": bindings}}
    (container,) = parse_containers(json.dumps([value]))
    port = 40000 if bindings and bindings["6443/tcp"] else 0
    assert container == Container("id-1", "c-control-plane", True, port)


def test_the_reason_in_what_kind_says() -> None:
    said = (
        'Creating cluster "c" ...\n • Ensuring node image 🖼 ...\nERROR: failed to create cluster: failed to pull image\n\nNo such host.\n'
    )
    assert _reason(said) == "failed to create cluster: failed to pull image No such host"
    assert _reason("") == "no output"


@dataclass
class Providing:
    """A provider in memory."""

    there: list[Container]
    fails: str = ""
    name: str = "kind"
    fails_to_explain: bool = False

    def machines(self, name: str) -> list[Container]:
        return list(self.there)

    def reserve(self) -> dict[str, Any]:
        return {"api_server_port": 40000, "containers": []}

    is_ours = Kind.is_ours

    def create(self, receipt: Receipt) -> dict[str, Any]:
        assert receipts.read(receipt.name) == receipt, "the receipt is written before anything is created"
        self.there.append(OURS)
        if self.fails == "create":
            raise OcneError("no room")
        return {**receipt.owned, "containers": [OURS.id]}

    def kubeconfig(self, name: str) -> bytes:
        if self.fails == "kubeconfig":
            raise KeyboardInterrupt
        return b"{}"

    def start(self, machines: Any) -> None:
        assert not machines

    def differences(self, receipt: Receipt) -> list[str]:
        return []

    def complete(self, receipt: Receipt, access: object, deadline: float) -> None:
        if self.fails == "complete":
            raise OcneError("Its API server did not answer.", "Try again.")

    def last_words(self, receipt: Receipt) -> str:
        if self.fails_to_explain:
            raise OcneError("the console is gone")
        return "kubelet: no room"

    def remove(self, receipt: Receipt, machines: Any) -> None:
        self.there = [machine for machine in self.there if machine not in machines]


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that each cluster was waited for."""
    waited: list[float] = []

    def wait(_access: object, _namespace: str, timeout: float) -> existing.Facts:
        waited.append(timeout)
        return existing.Facts("v1")

    monkeypatch.setattr(made.existing, "wait", wait)
    return waited


def bring_up(provider: Providing) -> MadeCluster:
    cluster = MadeCluster("c", provider)
    cluster.bring_up(cluster.observe(), "images", 60)
    return cluster


def test_a_cluster_that_is_made_is_whole_and_removed_without_a_trace(ready: list[float], home: Path) -> None:
    provider = Providing([])
    cluster = bring_up(provider)
    kubeconfig = home / ".kube/kubeconfig.c.local"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert cluster.observe().whole and len(ready) == 1
    cluster.remove(cluster.observe())
    assert not provider.there and not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("fails", "error"), [("create", OcneError), ("kubeconfig", KeyboardInterrupt), ("complete", OcneError)])
def test_a_creation_that_breaks_off_leaves_nothing(ready: list[float], home: Path, fails: str, error: type[BaseException]) -> None:
    provider = Providing([], fails)
    with pytest.raises(error):
        bring_up(provider)
    assert not provider.there and not [path for path in home.rglob("*") if path.is_file()]


def test_an_error_of_a_machine_has_its_last_words() -> None:
    with pytest.raises(
        OcneError, match=r"^Its API server did not answer\. The last lines of its console:\nkubelet: no room\n Try again\.$"
    ):
        bring_up(Providing([], "complete"))
    with pytest.raises(OcneError, match=r"^Its API server did not answer\. Try again\.$"):
        bring_up(Providing([], "complete", fails_to_explain=True))


def test_what_a_killed_run_left_is_made_anew(ready: list[float]) -> None:
    receipts.write(Receipt("c", "kind", "", {"api_server_port": 40000, "containers": []}))
    left = Container("id-0", "c-control-plane", True, 40000)
    provider = Providing([left])
    bring_up(provider)
    assert provider.there == [OURS]


def test_a_stranger_in_the_place_of_one_that_is_gone_stays(ready: list[float]) -> None:
    receipts.write(RECEIPT)
    stranger = Container("id-9", "c-control-plane", True, 40000)
    provider = Providing([stranger])
    cluster = MadeCluster("c", provider)
    cluster.remove(cluster.observe())
    assert provider.there == [stranger] and receipts.read("c") is None
