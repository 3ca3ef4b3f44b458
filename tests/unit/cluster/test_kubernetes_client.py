# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _kubernetes_client as kube
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.cluster import Cluster, open_cluster

from tests.unit.cluster.conftest import Api

pytest.importorskip("kubernetes")


def write_kubeconfig(path: Path, url: str, contexts: tuple[str, ...] = ("one", "two"), current: str = "one") -> Path:
    """A kubeconfig with these contexts, all for the same server."""
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in contexts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, **({"current-context": current} if current else {})}))
    return path


def test_the_cluster_is_sought_in_order(home: Path) -> None:
    assert kube.find({}, {}) is None
    in_pod = kube.find({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert in_pod and in_pod.in_cluster and in_pod.named
    usual = write_kubeconfig(home / ".kube/config", "http://usual")
    found = kube.find({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert found and found.kubeconfig == str(usual) and not found.named
    found = kube.find({}, {"KUBECONFIG": "/a:/b"})
    assert found and found.kubeconfig == "/a:/b" and found.named
    found = kube.find({"host": "https://h", "api_key": "t"}, {"KUBECONFIG": "/a"})
    assert found and found.kubeconfig == "" and dict(found.overrides) == {"host": "https://h", "api_key": "t"}
    found = kube.find({"kubeconfig": "/k", "host": "https://h"}, {"KUBECONFIG": "/a"})
    assert found and found.kubeconfig == "/k"


def test_a_context_names_the_cluster_of_the_usual_kubeconfig(home: Path) -> None:
    found = kube.find({"context": "two"}, {})
    assert found and found.named and found.context == "two" and found.kubeconfig == str(home / ".kube/config")


def test_the_context_decides(tmp_path: Path) -> None:
    path = str(write_kubeconfig(tmp_path / "k", "http://server:1"))
    assert kube.connect(kube.Access("it", True, path)).configuration.host == "http://server:1"
    assert kube.name(kube.Access("it", True, path)) == "one"
    assert kube.name(kube.Access("it", True, path, "two")) == "two"


def test_a_token_is_sent_wherever_it_comes_from(api: Api, tmp_path: Path) -> None:
    path = str(write_kubeconfig(tmp_path / "k", api.url))
    for access, token in (
        (kube.Access("it", True, path), "secret"),
        (kube.Access("it", True, path, overrides=(("api_key", "given"),)), "given"),
        (kube.Access("it", True, overrides=(("host", api.url), ("api_key", "given"))), "given"),
    ):
        api.tokens.clear()
        client = kube.connect(access)
        for _time in range(3):  # the library loads it anew each time
            kube.library().CoreV1Api(client).list_node()
        assert api.tokens == [f"Bearer {token}"] * 3


def test_a_process_that_may_not_be_started_is_a_refusal(api: Api) -> None:
    api.status["/api/v1/namespaces/ns/pods/p/exec"] = 403
    cluster = open_cluster({"host": api.url})
    with pytest.raises(kube.ClusterError, match=r"Could not start true in ns/p: refused with 403 \(403 Reason403\)") as failed:
        cluster.run("ns", "p", "build", ["true"])
    assert failed.value.status == 403 and not failed.value.passing


def test_a_server_that_comes_up_is_not_believed_to_refuse(api: Api) -> None:
    path = "/apis/batch/v1/namespaces/ns/jobs/name"
    later = [503, 403, 401, 200]

    def pause(seconds: float) -> None:
        clock.now += seconds
        api.status[path] = later.pop(0)

    clock = SimpleNamespace(now=0.0)
    cluster = Cluster(kube.connect(kube.Access("it", True, overrides=(("host", api.url),))), "it", pause, lambda: clock.now)
    api.status[path] = 403
    with pytest.raises(kube.ClusterError, match="403"):
        cluster.job("ns", "name")
    api.status[path] = 502
    assert cluster.job("ns", "name") and later == []
    clock.now += 60
    api.status[path] = 403
    with pytest.raises(kube.ClusterError, match="403"):
        cluster.job("ns", "name")


def test_a_wrong_context_is_told_with_those_there_are(tmp_path: Path) -> None:
    path = str(write_kubeconfig(tmp_path / "k", "http://server:1"))
    with pytest.raises(kube.KubeconfigError, match=r"contexts one, two"):
        kube.connect(kube.Access("it", True, path, "three"))


def test_a_kubeconfig_without_a_current_context_is_told(tmp_path: Path) -> None:
    path = str(write_kubeconfig(tmp_path / "k", "http://server:1", current=""))
    with pytest.raises(kube.KubeconfigError, match="contexts one, two"):
        kube.connect(kube.Access("it", True, path))


@pytest.mark.parametrize("content", ["{", "- a list", "\x00"])
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k"
    path.write_text(content)
    with pytest.raises(OcneError, match=str(path)):
        kube.connect(kube.Access("it", True, str(path)))


def test_an_empty_kubeconfig_names_no_cluster(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("")
    with pytest.raises(kube.KubeconfigError):
        kube.connect(kube.Access("it", True, str(path)))


def test_a_missing_kubeconfig_is_told() -> None:
    with pytest.raises(OcneError, match="no file /nowhere"):
        kube.connect(kube.Access("it", True, "/nowhere"))


def test_options_win_over_the_kubeconfig(tmp_path: Path) -> None:
    path = str(write_kubeconfig(tmp_path / "k", "http://server:1"))
    overrides = (("host", "http://other:2"), ("api_key", "mine"), ("validate_certs", False))
    configuration = kube.connect(kube.Access("it", True, path, overrides=overrides)).configuration
    assert configuration.host == "http://other:2" and not configuration.verify_ssl
    assert configuration.get_api_key_with_prefix("authorization") == "Bearer mine"


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "importlib", type("none", (), {"import_module": staticmethod(_missing)}))
    with pytest.raises(OcneError, match="pip install 'kubernetes"):
        kube.library()


def _missing(name: str) -> None:
    raise ImportError(f"No module named {name!r}")
