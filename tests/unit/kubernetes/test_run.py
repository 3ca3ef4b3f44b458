# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs whose beginning, waiting and end go other ways than usual; on a real cluster these moments cannot be met at will."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.manifest import MANAGED_BY, Build, Placement, Step
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.receipts import Held, Receipt
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.run import Run, prepare, remove_abandoned
from ansible_collections.ocne.images.plugins.module_utils._kubernetes_client import ClusterError
from ansible_collections.ocne.images.plugins.module_utils._module import Cancelled

BUILD = Build("ocne-boot-image-1", "boot-image", [], Step("build", "python", ["python3"]), {"a": b"1"}, {"b": b"2"})
PLACEMENT = Placement("ns", "1Gi")
LABELS = {MANAGED_BY[0]: MANAGED_BY[1]}


class Api:
    """What Run asks of a cluster, and what is on it: names by kind. raises: what a call ends with, after it was carried out."""

    server = "https://here"
    patience = 0.0

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.raises: dict[str, BaseException] = {}
        self.refuses: set[str] = set()
        self.waiting: list[dict[str, Any]] = []
        self.others: list[dict[str, Any]] = []
        self.happened: list[dict[str, Any]] = []

    def create(self, manifest: dict[str, Any]) -> None:
        what = f"create {manifest['kind']}"
        if what not in self.refuses:
            self.there.add(manifest["kind"])
        if what in self.raises:
            raise self.raises[what]

    def delete(self, kind: str, _namespace: str, _name: str, _uid: str = "") -> bool:
        if f"delete {kind}" in self.raises:
            raise self.raises[f"delete {kind}"]
        there = kind in self.there
        self.there.discard(kind)
        return there

    def job(self, _namespace: str, name: str) -> Optional[dict[str, Any]]:
        if "read Job" in self.raises:
            raise self.raises["read Job"]
        return {"metadata": {"name": name, "uid": "u", "labels": LABELS}} if "Job" in self.there else None

    def pods(self, _namespace: str, _job: str) -> list[dict[str, Any]]:
        return self.waiting if "Job" in self.there else []

    def builds(self, _namespace: str) -> list[dict[str, Any]]:
        return self.waiting + self.others

    def events(self, _namespace: str, _name: str) -> list[dict[str, Any]]:
        return self.happened

    def has_namespace(self, _name: str) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        allocatable = {"cpu": "1", "ephemeral-storage": "10Gi"}
        return [{"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": allocatable}}]

    def all_pods(self) -> list[dict[str, Any]]:
        return self.others


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture(autouse=True)
def receipts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".ocne/builds"


def run(api: Any, clock: Optional[Clock] = None) -> Run:
    clock = clock or Clock()
    return Run(api, BUILD, PLACEMENT, lambda *_progress: None, clock.sleep, clock)


def refusal(status: int) -> ClusterError:
    return ClusterError("refused", "", status, "")


@pytest.mark.parametrize("when", ["create Job", "create ConfigMap", "create Secret", "read Job"])
@pytest.mark.parametrize("end", [Cancelled("SIGTERM"), refusal(500)], ids=["cancelled", "answer lost"])
def test_what_ends_a_run_at_its_beginning_leaves_nothing(api: Api, receipts: Path, when: str, end: BaseException) -> None:
    api.raises[when] = end
    with pytest.raises(type(end)), run(api):
        raise AssertionError("it has begun")
    assert not api.there and not list(receipts.iterdir())


@pytest.mark.parametrize("kind", ["Job", "ConfigMap", "Secret"])
def test_a_signal_does_not_break_off_the_clean_up(api: Api, receipts: Path, kind: str) -> None:
    delete = api.delete

    def delete_and_be_interrupted(*what: str) -> bool:
        if what[0] == kind and kind in api.there:
            signal.raise_signal(signal.SIGINT)
        return delete(*what)

    api.delete = delete_and_be_interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), run(api):
        pass
    assert not api.there and not list(receipts.iterdir())


def test_what_was_refused_is_not_removed(api: Api, receipts: Path) -> None:
    api.refuses.add("create Job")
    api.raises = {"create Job": refusal(403), "delete Job": AssertionError("there is nothing to remove")}
    with pytest.raises(ClusterError), run(api):
        raise AssertionError("it has begun")
    assert not list(receipts.iterdir())


def test_what_cannot_be_removed_is_told_and_stays_known(api: Api, receipts: Path) -> None:
    api.raises["delete Job"] = refusal(503)
    with pytest.raises(OcneError, match=r"too bad Job ns/ocne-boot-image-1 could not be removed .*the next run removes it"), run(api):
        raise OcneError("too bad")
    assert api.there == {"Job", "ConfigMap", "Secret"} and len(list(receipts.iterdir())) == 1
    api.raises = {}
    remove_abandoned(api)  # type: ignore[arg-type]
    assert "Job" not in api.there and not list(receipts.iterdir())


def test_who_may_not_look_any_more_builds_elsewhere_all_the_same(api: Api, receipts: Path) -> None:
    Held(receipts, Receipt(api.server, "closed", "ocne-boot-image-0")).release(done=False)
    api.raises["read Job"] = refusal(403)
    remove_abandoned(api)  # type: ignore[arg-type]
    assert len(list(receipts.iterdir())) == 1
    api.raises["read Job"] = refusal(500)
    with pytest.raises(ClusterError):
        remove_abandoned(api)  # type: ignore[arg-type]


def pod(job: str, node: str = "", labels: Any = None, namespace: str = "ns") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    requests = {"cpu": "1", "ephemeral-storage": "1Gi"}
    return {
        "metadata": {"name": f"{job}-x", "namespace": namespace, "labels": {"job-name": job, **(LABELS if labels is None else labels)}},
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": requests}}]},
        "status": {"phase": "Pending", "conditions": [condition]},
    }


def test_room_that_other_builds_hold_is_waited_for(api: Api) -> None:
    clock = Clock()
    api.waiting = [pod(BUILD.name)]
    api.others = [pod("ocne-boot-image-2", "n")]

    def wait(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 1000:
            api.others = []

    with run(api, clock) as waiting:
        waiting._sleep = wait
        with pytest.raises(OcneError, match="no node takes pod"):
            waiting.wait_until_running()
    assert clock.now > 1000, "when the other one is gone and there is still no room, something else is the matter"


def test_a_quota_that_other_builds_use_up_is_waited_for_in_their_namespace_only(api: Api) -> None:
    clock = Clock()
    api.happened = [{"reason": "FailedCreate", "message": 'Error creating: pods "x" is forbidden: exceeded quota: q'}]
    api.others = [pod("ocne-boot-image-2", "n"), pod("ocne-boot-image-3", "n", namespace="elsewhere")]

    def wait(seconds: float) -> None:
        clock.now += seconds
        api.others = api.others[1:] if clock.now > 100 and len(api.others) > 1 else api.others

    with run(api, clock) as waiting:
        waiting._sleep = wait
        with pytest.raises(OcneError, match="quota does not allow its pod"):
            waiting.wait_until_running()
    assert clock.now > 100


def test_a_cluster_full_of_builds_has_room_and_one_full_of_others_has_not(api: Api) -> None:
    wanted = Placement("ns", "9.5Gi")
    api.others = [pod("ocne-boot-image-2", "n")]
    prepare(api, wanted)  # type: ignore[arg-type]
    api.others = [pod("something", "n", {})]
    with pytest.raises(OcneError, match=r"free only ephemeral-storage 9\.0Gi"):
        prepare(api, wanted)  # type: ignore[arg-type]
