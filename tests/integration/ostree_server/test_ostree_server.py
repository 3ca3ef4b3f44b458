# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role ostree_server on a host with systemd: real podman, real nginx, real ostree as the client."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.nginx_image import write_nginx_image
from tests.support.ostree_server import BUSYBOX, Server
from tests.support.systemd_host import systemd_host


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with systemd_host() as host:
        yield Server(host)


@pytest.fixture
def client(tmp_path: Path, server: Server) -> Path:
    """A repository that knows the server as a remote."""
    repository = tmp_path / "client"
    run("ostree", "init", f"--repo={repository}", "--mode=bare-user")
    run("ostree", f"--repo={repository}", "remote", "add", "--no-gpg-verify", "ock", f"{server.url}/ostree")
    return repository


@pytest.fixture
def first(server: Server) -> tuple[Path, str]:
    archive, commit = server.archive(1, server.base)
    server.serve(archive)
    return archive, commit


def test_serves_the_commit_by_systemd(server: Server, first: tuple[Path, str], client: Path) -> None:
    _archive, commit = first
    assert server.get("ostree/refs/heads/ock") == f"{commit}\n"
    run("ostree", f"--repo={client}", "pull", "ock", "ock")
    run("ostree", f"--repo={client}", "fsck")
    assert server.host("systemctl", "is-active", "ock-ostree.service").strip() == "active"
    assert server.host("systemctl", "is-enabled", "ock-ostree.service").strip() == "enabled"
    assert "ok" in server.host("sh", "-c", "systemd-analyze verify /etc/systemd/system/ock-ostree.service && echo ok")


def test_second_run_changes_nothing(server: Server, first: tuple[Path, str]) -> None:
    for options in (["--check"], []):
        assert " changed=0 " in server.serve(first[0], *options).replace("changed=0", " changed=0 ")


def test_health_is_watched(server: Server, first: tuple[Path, str]) -> None:
    server.host("podman", "healthcheck", "run", "ock-ostree")
    (server.state / "current").rename(server.state / "away")
    (server.state / "former").unlink(missing_ok=True)
    try:
        with pytest.raises(RuntimeError):
            server.host("podman", "healthcheck", "run", "ock-ostree")
    finally:
        (server.state / "away").rename(server.state / "current")


def test_server_that_dies_comes_back(server: Server, first: tuple[Path, str]) -> None:
    before = server.started()
    server.host("podman", "kill", "ock-ostree")
    server.host("sh", "-c", "for i in $(seq 100); do podman inspect ock-ostree >/dev/null 2>&1 && break; sleep 0.2; done; sleep 1")
    assert server.started() != before
    assert server.get("ostree/refs/heads/ock") == f"{first[1]}\n"


def test_installation_that_has_begun_goes_on_over_an_upgrade(server: Server, first: tuple[Path, str], client: Path) -> None:
    """The client takes the first commit's metadata, then the server is upgraded, then it takes the rest."""
    _archive, old = first
    began = server.started()
    run("ostree", f"--repo={client}", "pull", "--commit-metadata-only", "ock", "ock")
    new_archive, new = server.archive(2, server.base)
    assert "would" not in server.serve(new_archive, "--check")
    assert server.get("ostree/refs/heads/ock") == f"{old}\n"

    server.serve(new_archive)

    assert server.get("ostree/refs/heads/ock") == f"{new}\n" != f"{old}\n"
    assert server.started() == began
    run("ostree", f"--repo={client}", "pull", "ock", old)
    run("ostree", f"--repo={client}", "pull", "ock", "ock")
    run("ostree", f"--repo={client}", "fsck")
    third, _commit = server.archive(3, server.base)
    server.serve(third)
    assert len(list((server.state / "generations").iterdir())) == 2


def test_pull_under_way_survives_the_upgrade(server: Server, first: tuple[Path, str], client: Path) -> None:
    """Clients pull in a loop while the commit is switched to and fro; none of them fails."""
    pull = f"ostree --repo={client} pull ock ock"
    loop = f"for i in 1 2 3 4 5 6 7 8; do rm -rf {client}/objects/?? {client}/refs/remotes/*; {pull} || exit 1; done"
    puller = subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    upgrades = 0
    while puller.poll() is None and upgrades < 4:
        archive, _commit = server.archive(4 + upgrades % 2, server.base)
        server.serve(archive)
        upgrades += 1
    output = puller.communicate()[0]
    assert puller.returncode == 0, output
    assert upgrades >= 1


def test_new_nginx_is_started(server: Server, first: tuple[Path, str]) -> None:
    base = server.host.folder / "newer"
    if not base.exists():
        busybox = BUSYBOX.read_bytes()
        write_nginx_image(base, more=[{"bin/sh": busybox, "bin/wget": busybox}, {"etc/newer": b"newer"}])
    before = server.started()
    archive, commit = server.archive(1, base)
    server.serve(archive)
    assert server.started() != before
    assert server.get("ostree/refs/heads/ock") == f"{commit}\n"


def test_boot_files(server: Server, first: tuple[Path, str]) -> None:
    url = "http://ostree.example.com:8080"
    server.serve(first[0], ocne_images_server_url=f"{url}/", ocne_images_server_installer_url="http://mirror/ol9/")
    assert f"ostreesetup --osname=ock --remote=ock --url={url}/ostree --ref=ock --nogpg\n" in server.get("ock.ks")
    assert server.get("boot-arguments") == f"inst.ks={url}/ock.ks\n"
    script = server.get("ock.ipxe")
    assert script.startswith("#!ipxe\n")
    assert f"inst.repo=http://mirror/ol9 inst.ks={url}/ock.ks\n" in script


def test_key_comes_with_the_kickstart_fragment(server: Server, first: tuple[Path, str], tmp_path: Path) -> None:
    key = server.host.folder / "key.gpg"
    key.write_bytes(bytes(range(256)) * 5)
    server.serve(first[0], ocne_images_server_gpg_key=str(key))
    fragment = server.get("ock.ks")
    assert "--nogpg" not in fragment
    script = fragment.partition("%pre\n")[2].partition("%end\n")[0].replace("/usr/share/ostree", str(tmp_path))
    run("sh", "-eu", "-c", script)
    assert (tmp_path / "trusted.gpg.d/ock.gpg").read_bytes() == key.read_bytes()


def test_tls(server: Server, first: tuple[Path, str]) -> None:
    folder = server.host.folder
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", *subject)
    tls = {"ocne_images_server_tls_certificate": f"{folder}/cert.pem", "ocne_images_server_tls_key": f"{folder}/key.pem"}
    server.serve(first[0], **tls)
    fetched = run("curl", "-fsS", "--cacert", folder / "cert.pem", f"https://127.0.0.1:{server.port}/ostree/refs/heads/ock")
    assert fetched == f"{first[1]}\n"
    assert (server.state / "tls/key.pem").stat().st_mode & 0o777 == 0o400
    with pytest.raises(RuntimeError):
        run("curl", "-fsS", "--cacert", folder / "cert.pem", f"https://127.0.0.1:{server.port}/tls/key.pem")


def test_image_that_is_no_archive_is_refused(server: Server) -> None:
    with pytest.raises(RuntimeError, match="is no ostree archive"):
        server.serve(server.base)


def test_port_of_something_else_is_noticed(server: Server, first: tuple[Path, str]) -> None:
    """Somebody else's answer is not taken for ours."""
    variables = {"ocne_images_server_name": "other", "ocne_images_server_folder": f"{server.state}-other"}
    with pytest.raises(RuntimeError):
        server.serve(server.archive(2, server.base)[0], **variables)
    server.host("systemctl", "disable", "--now", "other.service")
