# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same result in a pod as on this host, from every kind of source, in a namespace that enforces 'restricted'."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.cluster.builder_cluster.conftest import LARGER, WHOLE, ClusterConverter, reached
from tests.support import module_call, relay
from tests.support.build_cluster import is_building
from tests.support.nginx_image import write_nginx_image
from tests.support.ostree_image import CHUNKED
from tests.support.registry import PASSWORD, Registry
from tests.support.sample_disk import boot_disk
from tests.support.sample_image import write_layout


def test_a_file_is_sent_and_gives_the_same_bytes(convert: ClusterConverter) -> None:
    made = convert()
    assert made["sha256"] == convert.local()["sha256"] and made["engine"] == "native"
    assert convert.left() == []
    assert WHOLE[0] in convert.files() and convert.dest.stat().st_mode & 0o777 == 0o600
    again = convert()
    assert not again["changed"] and again["sha256"] == made["sha256"]


def test_what_a_pod_made_this_host_needs_not_make_again(convert: ClusterConverter) -> None:
    assert convert()["changed"]
    assert not convert(builder="local")["changed"]


def test_an_image_is_fetched_in_the_pod_with_an_account(convert: ClusterConverter, pod_registry: Registry, boot_layout: Path) -> None:
    source = pod_registry.push(f"oci:{boot_layout}:1.33", "olcne/ock:1.33")
    made = convert(source=source, **reached(pod_registry))
    assert not Path(convert.params["cache_dir"], "blobs").exists(), "nothing was fetched to this host"
    assert made["sha256"] == convert.local(source=source, **reached(pod_registry))["sha256"]
    assert convert.left() == []
    assert PASSWORD not in json.dumps(made)


def test_the_result_crosses_the_api_server_once(convert: ClusterConverter, pod_registry: Registry, tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", LARGER)
    source = pod_registry.push(f"oci:{tmp_path / 'layout'}:1.33", "olcne/larger:1.33")
    config = yaml.safe_load(convert.cluster.kubeconfig.read_text())
    (cluster,) = (each["cluster"] for each in config["clusters"])
    api = urlsplit(cluster["server"])
    with relay.relay((str(api.hostname), int(api.port or 443))) as counting:
        cluster["server"] = f"https://127.0.0.1:{counting.port}"
        kubeconfig = convert.home / "counted"
        kubeconfig.write_text(yaml.safe_dump(config))
        made = convert(source=source, kubeconfig=str(kubeconfig), **reached(pod_registry))
    assert made["size"] > 250e6
    assert made["size"] < counting.received < 1.03 * made["size"]


def test_an_image_of_another_transport_is_sent(convert: ClusterConverter, boot_layout: Path) -> None:
    source = f"oci:{boot_layout}:1.33"
    assert convert(source=source)["sha256"] == convert.local(source=source)["sha256"]
    assert convert.left() == []


def test_a_damaged_blob_of_the_cache_is_fetched_again(convert: ClusterConverter, boot_layout: Path) -> None:
    source = f"oci:{boot_layout}:1.33"
    made = convert.local(source=source)
    blobs = sorted(Path(convert.params["cache_dir"], "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    with blobs[-1].open("r+b") as blob:
        blob.seek(1000)
        blob.write(b"damage")
    assert convert(source=source)["sha256"] == made["sha256"]
    assert convert.left() == []


def test_a_pod_can_do_little(convert: ClusterConverter) -> None:
    """As it runs: its builder waits for a file that does not come."""
    process = convert.start(source=str(boot_disk(LARGER)))
    pod = convert.cluster.wait_for_pod(convert.namespace, is_building, 300)
    process.send_signal(signal.SIGSTOP)
    try:
        assert convert.inside("id", "-u").strip() != "0"
        status = dict(line.split(":\t") for line in convert.inside("cat", "/proc/self/status").splitlines())
        assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"], status["Seccomp"]) == (0, 0, "1", "2")
        assert "Read-only file system" in convert.inside("sh", "-c", "touch /tmp/file 2>&1 || true")
        assert "No such file" in convert.inside("sh", "-c", "ls /var/run/secrets/kubernetes.io 2>&1 || true")
        requests = {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "2Gi"}
        assert [container["resources"]["requests"] for container in pod["spec"]["containers"]] == [requests]
        assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.communicate()
    assert convert.left() == []


def test_memory_does_not_grow_with_the_image(convert: ClusterConverter) -> None:
    """Of neither end: an image of more than 300 MB goes into a pod that may use 96 MiB, and a result of that size comes back."""
    little = {"requests": {"memory": "96Mi"}, "limits": {"memory": "96Mi"}}
    process, peak = convert.start(source=str(boot_disk(LARGER)), resources=little), 0
    while process.poll() is None:
        with suppress(OSError, StopIteration):  # it has just ended
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10
        time.sleep(0.1)
    made = json.loads(process.communicate()[0])
    assert made.get("msg") is None and made["size"] > 300 << 20
    assert 0 < peak < 200 << 20
    assert convert.left() == []


def test_check_mode_makes_nothing_on_the_cluster(convert: ClusterConverter) -> None:
    predicted = convert(check=True, namespace=f"{convert.namespace}-new")
    assert predicted["changed"] and convert.left() == []
    assert f"{convert.namespace}-new" not in convert.cluster.kubectl("get", "namespaces")


def test_a_namespace_is_made_and_kept(convert: ClusterConverter) -> None:
    name = f"{convert.namespace}-new"
    try:
        convert(namespace=name)
        labels = json.loads(convert.cluster.kubectl("get", "namespace", name, "-o", "json"))["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert convert.cluster.left(name) == []
    finally:
        convert.cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def test_an_ostree_archive_is_the_same(convert: ClusterConverter, tmp_path: Path) -> None:
    write_nginx_image(tmp_path / "nginx")
    params = {
        **{name: value for name, value in convert.params.items() if name != "dest"},
        "source": f"oci-archive:{CHUNKED}",
        "base_image": f"oci:{tmp_path}/nginx",
        # At this level both compress with zlib.
        "compression_level": 6,
    }
    there = module_call.call("ocne_ostree_archive", {**params, "dest": str(tmp_path / "there.tar")})
    here = module_call.call("ocne_ostree_archive", {**params, "dest": str(tmp_path / "here.tar"), "builder": "local"})
    assert (there["sha256"], there["commit"], there["digest"]) == (here["sha256"], here["commit"], here["digest"])
    assert convert.left() == []
