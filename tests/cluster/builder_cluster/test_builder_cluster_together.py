# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several builds at once, of two users, with no more rights than are documented; and what a cluster has before and after builds."""

from __future__ import annotations

import json
import signal
import sys

from tests.cluster.builder_cluster.conftest import ClusterConverter
from tests.support import module_call
from tests.support.build_cluster import is_building
from tests.support.cluster_accounts import documented_rules
from tests.support.playbook_run import PlaybookRun


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


def test_forty_targets_of_a_role_eight_at_a_time(convert: ClusterConverter) -> None:
    numbers = range(40)
    convert.dest.parent.mkdir()
    variables = {f"ocne_images_{name}": value for name, value in convert.params.items() if name not in ("dest", "source")}
    variables["ocne_images_boot_image_source"] = convert.params["source"]
    variables["ocne_images_resources"] = {"requests": {"cpu": "100m", "memory": "128Mi"}}
    variables["ocne_images_parallel"] = 8
    variables["ocne_images_targets"] = [
        {"dest": f"{convert.dest.parent}/{number}.oci", "kernel_arguments": [f"number={number}"]} for number in numbers
    ]
    plays = [{"hosts": "localhost", "gather_facts": False, "roles": ["ocne.images.boot_image"]}]
    hosts = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}}
    with PlaybookRun(convert.home, plays, hosts) as run:
        most = 0
        while run.process.poll() is None:
            most = max(most, len(convert.cluster.get("jobs", convert.namespace)))
        assert run.finish() == 0, run.out[-3000:] + run.err[-3000:]
    assert 1 < most <= 8, "so many side by side, and no more"
    made = {json.loads((convert.dest.parent / f"{number}.oci.build.json").read_text())["artefact"]["sha256"] for number in numbers}
    assert len(made) == 40 and convert.left() == []


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
