# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several builds at once, of two users, with no more rights than are documented; and what a cluster has before and after builds."""

from __future__ import annotations

import json
import signal

from tests.cluster.builder_cluster.conftest import ClusterConverter
from tests.support import module_call
from tests.support.build_cluster import is_building
from tests.support.cluster_accounts import documented_rules


def test_eight_builds_of_two_users(convert: ClusterConverter) -> None:
    """More than the node has room for at a time: half of them with the rights that are documented, and no others."""
    other = convert.account(documented_rules())
    processes = []
    for number in range(8):
        user = {"kubeconfig": other} if number % 2 else {}
        processes.append(convert.start(dest=f"{convert.dest.parent}/{number}.oci", resources={"requests": {"cpu": "400m"}}, **user))
    results = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    assert [result.get("msg") for result in results] == [None] * 8
    assert {result["sha256"] for result in results} == {convert.local()["sha256"]}
    assert convert.left() == []


def test_the_documented_rights_are_enough_and_needed(convert: ClusterConverter) -> None:
    review = {"provider": "existing", "namespace": convert.namespace}
    assert module_call.call("ocne_cluster", {**review, "kubeconfig": convert.account(documented_rules())})["provider"] == "existing"
    assert convert(kubeconfig=convert.account(documented_rules()))["changed"]
    for without in range(len(documented_rules())):
        rules = [rule for number, rule in enumerate(documented_rules()) if number != without]
        message = module_call.message("ocne_cluster", {**review, "kubeconfig": convert.account(rules)})
        assert "may not do what a build needs" in message and documented_rules()[without]["resources"][0] in message


def test_a_cluster_has_the_same_before_and_after(convert: ClusterConverter) -> None:
    """A build that succeeds, one that fails, one that is cancelled."""
    before = everything(convert)
    convert()
    assert "took longer than it may" in convert.message(force=True, wait_timeout=1)
    process = convert.start(force=True)
    convert.cluster.wait_for_pod(convert.namespace, is_building, 300)
    process.send_signal(signal.SIGINT)
    assert "Ended by SIGINT" in json.loads(process.communicate(timeout=300)[0])["msg"]
    assert everything(convert) == before


def everything(convert: ClusterConverter) -> list[str]:
    """All that is in the cluster, but in namespaces that are being removed."""
    leaving = {each["metadata"]["name"] for each in convert.cluster.get("namespaces", "default") if each["status"]["phase"] != "Active"}
    columns = "custom-columns=K:.kind,S:.metadata.namespace,N:.metadata.name"
    lines = convert.cluster.kubectl("get", "all,secret,configmap,persistentvolumeclaim", "-A", "-o", columns, "--no-headers").splitlines()
    return sorted(" ".join(line.split()) for line in lines if line.split()[1] not in leaving)
