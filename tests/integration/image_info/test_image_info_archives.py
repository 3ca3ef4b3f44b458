# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ostree archives, in images and on web servers: what the module tells of them, beside what ostree tells."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.image_info.conftest import Info
from tests.integration.ostree.conftest import Archiver, unpack
from tests.support import module_call, proxy, registry, web_server
from tests.support.command import run
from tests.support.container_image import Layout
from tests.support.nginx_image import write_nginx_image
from tests.support.ostree_image import CHUNKED, COMMIT, SINGLE
from tests.support.watching import PATIENCE
from tests.support.web_server import PASSWORD, USER, WebServer


@dataclass(frozen=True)
class Made:
    """An archive that ocne_ostree_archive made of the fixture, and the repository in it."""

    path: Path
    result: dict[str, Any]
    repository: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("archive")
    write_nginx_image(folder / "nginx")
    archiver = Archiver(folder, folder / "nginx")
    result = archiver(f"oci-archive:{SINGLE}")
    folder.chmod(0o755)
    repository = unpack(archiver.dest, folder / "unpacked")
    return Made(archiver.dest, result, repository)


@pytest.fixture(scope="module")
def judged(made: Made) -> dict[str, Any]:
    """What ostree says of the repository."""
    repo = f"--repo={made.repository}"
    shown = run("ostree", repo, "show", "ock")
    fsck = run("ostree", repo, "fsck")
    objects = [path for path in (made.repository / "objects").rglob("*") if path.is_file() and path.suffix != ".commitmeta"]
    return {
        "mode": run("ostree", repo, "config", "get", "core.mode").strip(),
        "refs": {ref: run("ostree", repo, "rev-parse", ref).strip() for ref in run("ostree", repo, "refs").split()},
        "commit": re.search(r"^commit ([0-9a-f]{64})$", shown, re.MULTILINE)[1],  # type: ignore[index]
        "version": run("ostree", repo, "show", "--print-metadata-key=version", "ock").strip().strip("'"),
        "kernel": run("ostree", repo, "show", "--print-metadata-key=ostree.linux", "ock").strip().strip("'"),
        "date": re.search(r"^Date:  (\S+) (\S+) \+0000$", shown, re.MULTILINE).expand(r"\1T\2Z"),  # type: ignore[union-attr]
        "objects": int(re.search(r"fsck objects \((\d+)/\1\)", fsck)[1]),  # type: ignore[index]
        "size": sum(path.stat().st_size for path in objects),
        "missing": 0,
        "signatures": [],
    }


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[WebServer]:
    with web_server.serve(made.repository.parent, more="location /moved/ {{ rewrite ^/moved/(.*) /ostree/$1 redirect; }}") as running:
        yield running


def told(archive: dict[str, Any], judged: dict[str, Any]) -> dict[str, Any]:
    return {key: archive[key] for key in judged}


def test_an_archive_is_told_as_ostree_tells_it(info: Info, made: Made, judged: dict[str, Any]) -> None:
    found = info.archive(made.path)
    assert told(found, judged) == judged
    assert (found["digest"], found["architecture"], found["format"]) == (made.result["digest"], "amd64", "repository")
    assert (found["ref"], found["commit"]) == (made.result["ref"], made.result["commit"])
    assert info.left() == []


def test_an_archive_is_told_from_a_registry(info: Info, made: Made, judged: dict[str, Any]) -> None:
    with registry.serve() as running:
        source = running.push(f"oci-archive:{made.path}", "ock-ostree:1.33")
        assert told(info.archive(source), judged) == judged
        before = running.request_count("GET /v2/ock-ostree/blobs/")
        assert told(info.archive(source), judged) == judged
        assert running.request_count("GET /v2/ock-ostree/blobs/") - before <= 1  # the configuration


def test_an_archive_that_another_tool_made_is_told(info: Info, made: Made, judged: dict[str, Any], tmp_path: Path) -> None:
    """As a build from a Containerfile gives it: no labels, and files where nginx of another distribution has them."""
    files = {f"srv/www/ostree/{path.relative_to(made.repository)}": path for path in made.repository.rglob("*") if path.is_file()}
    layout = Layout(tmp_path / "other")
    layout.tag("latest", layout.add_image([{"etc/issue": b"x"}, files, {"srv/www/index.html": b"x"}], "amd64", "gzip"))
    assert told(info.archive(tmp_path / "other"), judged) == judged


def test_a_served_repository_is_told(info: Info, served: WebServer, judged: dict[str, Any]) -> None:
    for url in (f"{served.url}/ostree", f"{served.url}/ostree/", f"{served.url}/moved"):
        found = info.archive(url)
        assert told(found, judged) == judged
        assert found["url"] == f"{served.url}/ostree"
    # Of a file, no more than its size is asked for.
    asked = served.requests.read_text()
    assert ".filez HTTP" in asked and "GET /ostree/objects" in asked
    assert not re.search(r"GET \S+\.filez", asked)
    assert info.left() == []


def test_check_mode_says_the_same(info: Info, served: WebServer, made: Made) -> None:
    for source in (f"{served.url}/ostree", made.path):
        result, checked = info(source), info(source, check=True)
        assert result["archive"] == checked["archive"] and result["changed"] is checked["changed"] is False


def test_a_repository_without_a_summary_is_told(info: Info, made: Made, judged: dict[str, Any], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shutil.copytree(made.repository, tmp_path / "repo")
    run("ostree", f"--repo={tmp_path / 'repo'}", "refs", "--create=other/name", "ock")
    run("ostree", f"--repo={tmp_path / 'repo'}", "summary", "--update")
    with web_server.serve(tmp_path) as running:
        assert info.archive(f"{running.url}/repo")["refs"] == {"ock": COMMIT, "other/name": COMMIT}
        (tmp_path / "repo/summary").unlink()
        assert told(info.archive(f"{running.url}/repo"), judged) == judged
        assert info.archive(f"{running.url}/repo", ref="other/name")["refs"] == {"other/name": COMMIT}
        assert "has no ref nothing, and no summary" in info.message(f"{running.url}/repo", ref="nothing")


def test_gpg_signatures_are_told(info: Info, made: Made, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shutil.copytree(made.repository, tmp_path / "repo")
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    environment, repo = {"GNUPGHOME": str(home)}, f"--repo={tmp_path / 'repo'}"
    try:
        for name in ("one@example.com", "two@example.com"):
            run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", env=environment)
            run("ostree", repo, "gpg-sign", f"--gpg-homedir={home}", "ock", name, env=environment)
        run("ostree", repo, "summary", "--update", f"--gpg-homedir={home}", "--gpg-sign=one@example.com", env=environment)
    finally:
        run("gpgconf", "--kill", "all", env=environment)
    with web_server.serve(tmp_path) as running:
        found = info.archive(f"{running.url}/repo")
    assert found["signatures"] == [{"type": "gpg", "count": 2}]
    assert found["summary_signatures"] == [{"type": "gpg", "count": 1}]


def test_missing_objects_are_counted(info: Info, made: Made, judged: dict[str, Any], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shutil.copytree(made.repository, tmp_path / "repo")
    gone = sorted((tmp_path / "repo/objects").rglob("*.filez"))[:3]
    lost = sum(path.stat().st_size for path in gone)
    for path in gone:
        path.unlink()
    with web_server.serve(tmp_path) as running:
        found = info.archive(f"{running.url}/repo")
    assert (found["missing"], found["objects"], found["size"]) == (3, judged["objects"], judged["size"] - lost)


def test_tls_accounts_and_redirections(info: Info, made: Made, served: WebServer, judged: dict[str, Any]) -> None:
    with web_server.serve(
        made.repository.parent, auth=True, tls=True, more=f"location /away/ {{{{ return 302 {served.url}$uri; }}}}"
    ) as running:
        url = f"{running.url}/ostree"
        trusted = {"tls_verify": True, "ca_certificates": str(running.ca)}
        assert "a reader without an account (401)" in info.message(url, **trusted)
        wrong = info.message(url, username=USER, password="canary-of-a-wrong-password", **trusted)
        assert f"refuses the account {USER}" in wrong and "canary" not in wrong
        assert "certificate is not trusted" in info.message(url, username=USER, password=PASSWORD, tls_verify=True)
        result = info(url, username=USER, password=PASSWORD, **trusted)
        assert told(result["archive"], judged) == judged and PASSWORD not in json.dumps(result)
        assert told(info.archive(url, username=USER, password=PASSWORD), judged) == judged
        assert "no file config" in info.message(f"{running.url}/away", username=USER, password=PASSWORD)
        assert PASSWORD not in served.requests.read_text() and f" {USER} [" not in served.requests.read_text()
        assert "has an account in it" in info.message(url.replace("://", f"://{USER}:{PASSWORD}@"))
        assert PASSWORD not in info.message(url.replace("://", f"://{USER}:{PASSWORD}@"))


def test_proxies_are_used(info: Info, made: Made, served: WebServer, judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with proxy.serve() as between, web_server.serve(made.repository.parent, tls=True) as secure:
        result = info(f"{served.url}/ostree", proxy={"http": between.url})
        assert told(result["archive"], judged) == judged and proxy.PASSWORD not in json.dumps(result)
        assert f"{served.url}/ostree/config" in between.asked
        assert told(info.archive(f"{secure.url}/ostree", proxy={"https": between.url}), judged) == judged
        assert {target for _client, target in between.tunnels} == {secure.url.partition("://")[2]}
        assert "407" in info.message(f"{served.url}/ostree", proxy={"http": f"http://{between.address}"})
        between.asked.clear()
        monkeypatch.setenv("http_proxy", between.url)
        assert told(info.archive(f"{served.url}/ostree", proxy={"no": "127.0.0.1"}), judged) == judged
        assert between.asked == []


def test_an_encapsulated_commit_is_told_by_its_labels(info: Info) -> None:
    for fixture, layers in ((SINGLE, 1), (CHUNKED, 7)):
        manifest = json.loads(run("skopeo", "inspect", "--raw", f"oci-archive:{fixture}"))
        config = json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{fixture}"))
        found = info.archive(fixture)
        assert found == {
            "format": "encapsulated",
            "digest": found["digest"],
            "architecture": config["architecture"],
            "commit": COMMIT,
            "version": config["config"]["Labels"]["org.opencontainers.image.version"],
            "kernel": config["config"]["Labels"]["ostree.linux"],
            "date": config["created"],
            "layers": layers,
            "size": sum(layer["size"] for layer in manifest["layers"]),
        }
    assert not info.cache.exists()


def test_wrong_input_is_told(info: Info, made: Made, served: WebServer, tmp_path: Path) -> None:
    write_nginx_image(tmp_path / "nginx")
    damaged = tmp_path / "damaged"
    shutil.copytree(made.repository, damaged / "ostree")
    commit = damaged / f"ostree/objects/{COMMIT[:2]}/{COMMIT[2:]}.commit"
    commit.write_bytes(commit.read_bytes()[:-1] + b"!")
    damaged.chmod(0o755)
    tmp_path.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as deaf, web_server.serve(damaged) as broken:
        silent = f"http://127.0.0.1:{deaf.getsockname()[1]}/ostree"
        for said, source, options in (
            ("holds neither a disk (disk/*.qcow2) nor an ostree repository", f"oci:{tmp_path}/nginx:latest", {}),
            ("is no ostree repository: it has no file config", f"{served.url}/nothing", {}),
            ("has no ref nothing. Set ref to one of those that it has: ock", f"{served.url}/ostree", {"ref": "nothing"}),
            ("does not answer within 1 s", silent, {"timeout": 1}),
            ("Connection refused", "http://127.0.0.1:1/ostree", {}),
            ("the host's name is not known", "http://no-such-host.invalid/ostree", {}),
            ("no URL of a folder on a web server", "http://", {}),
            ("no URL of a folder on a web server", f"{served.url}/ostree?x=1", {}),
            (f"{COMMIT}.commit is damaged", f"{broken.url}/ostree", {}),
            ("is an ostree archive; partition and path are of boot images", f"{served.url}/ostree", {"path": "/"}),
            ("is an ostree archive; partition and path are of boot images", made.path, {"partition": "root"}),
            ("is an ostree archive; partition and path are of boot images", SINGLE, {"path": "/"}),
        ):
            message = info.message(source, **options)
            assert said in message, message


def test_a_run_that_is_ended_waits_for_no_server(info: Info) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        params = {"source": f"http://127.0.0.1:{deaf.getsockname()[1]}/ostree", "cache_dir": str(info.cache), "timeout": 600}
        process = module_call.start("ocne_image_info", params)
        with deaf.accept()[0]:
            process.terminate()
            output, _errors = process.communicate(timeout=PATIENCE)
    assert "Ended by SIGTERM" in json.loads(output)["msg"]


def test_the_fixtures_are_not_touched(info: Info, made: Made) -> None:
    before = made.path.stat()
    made.path.chmod(0o400)
    info.archive(made.path)
    after = made.path.stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)
    assert sorted(os.listdir(made.path.parent)) == ["archive.tar", "archive.tar.build.json"]  # noqa: PTH208
