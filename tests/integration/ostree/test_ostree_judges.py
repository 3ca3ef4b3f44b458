# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ostree, podman with nginx, curl, skopeo and a registry say of the archive."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.integration.ostree.conftest import Archive, Archiver, unpack
from tests.support import registry
from tests.support.command import run
from tests.support.encapsulate import encapsulate
from tests.support.nginx_image import write_nginx_image
from tests.support.ostree_image import SINGLE, load
from tests.support.podman import Podman

IMAGE = "localhost/ock-ostree:latest"


def test_ostree_finds_nothing_wrong(made: Archive) -> None:
    assert "no errors found" in run("ostree", f"--repo={made.repository}", "fsck")
    assert run("ostree", f"--repo={made.repository}", "rev-parse", "ock").strip() == made.result["commit"]


def test_objects_are_the_bytes_that_libostree_writes(made: Archive, tmp_path: Path) -> None:
    for name, mode, source in (("bare", "bare-user", made.repository), ("again", "archive", tmp_path / "bare")):
        run("ostree", f"--repo={tmp_path / name}", "init", f"--mode={mode}")
        run("ostree", f"--repo={tmp_path / name}", "pull-local", source, "ock")
    theirs, ours = (
        {path.relative_to(top): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}
        for top in (tmp_path / "again/objects", made.repository / "objects")
    )
    assert ours == theirs


def test_the_summary_is_the_one_that_ostree_writes(made: Archive, tmp_path: Path) -> None:
    run("cp", "-a", made.repository, tmp_path / "repository")
    written = (tmp_path / "repository/summary").read_bytes()
    config = (tmp_path / "repository/config").read_bytes()
    run("ostree", f"--repo={tmp_path / 'repository'}", "summary", "--update")
    theirs = (tmp_path / "repository/summary").read_bytes()
    # The time of writing, 8 bytes that GVariant aligns, is the commit's here.
    at = theirs.index(b"ostree.summary.last-modified\0")
    at = (at + len("ostree.summary.last-modified") + 1 + 7) // 8 * 8
    assert written[:at] + written[at + 8 :] == theirs[:at] + theirs[at + 8 :]
    assert (tmp_path / "repository/config").read_bytes() == config
    assert made.result["commit"] in run("ostree", f"--repo={made.repository}", "summary", "--view")


def test_a_machine_can_be_installed_from_the_running_container(made: Archive, podman: Podman, tmp_path: Path, tree: Path) -> None:
    podman("load", "--quiet", "--input", made.path)
    assert '"80/tcp"' in podman("image", "inspect", "--format={{json .Config.ExposedPorts}}", IMAGE)
    with podman.serving(IMAGE, 80, "ostree/config") as url:
        assert run("curl", "--fail", "--silent", f"{url}/ostree/refs/heads/ock").strip() == made.result["commit"]
        repository = tmp_path / "bare"
        run("ostree", f"--repo={repository}", "init", "--mode=bare")
        run("ostree", f"--repo={repository}", "remote", "add", "--no-gpg-verify", "ock", f"{url}/ostree")
        assert run("ostree", f"--repo={repository}", "remote", "refs", "ock").split() == ["ock:ock"]
        assert made.result["commit"] in run("ostree", f"--repo={repository}", "remote", "summary", "ock")
        run("ostree", f"--repo={repository}", "pull", "ock", "ock")
    assert "no errors found" in run("ostree", f"--repo={repository}", "fsck")
    if "tree" in str(made.path):
        run("ostree", f"--repo={repository}", "checkout", "ock:ock", tmp_path / "checkout")
        assert _listing(tmp_path / "checkout") == _listing(tree)


def test_signature_is_verified_by_who_installs(archive: Archiver, podman: Podman, tmp_path: Path, tree: Path) -> None:
    home, repository = tmp_path / "gpg", f"--repo={tmp_path / 'repository'}"
    home.mkdir(mode=0o700)
    environment = {"GNUPGHOME": str(home)}
    run("ostree", repository, "init", "--mode=archive")
    run("ostree", repository, "commit", "--branch=ock", f"--tree=dir={tree}")
    try:
        for name in ("publisher", "stranger"):
            address = f"{name}@example.com"
            run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", address, "ed25519", "sign", env=environment)
            run("gpg", "--batch", "--quiet", f"--output={tmp_path / name}.gpg", "--export", address, env=environment)
        run("ostree", repository, "gpg-sign", f"--gpg-homedir={home}", "ock", "publisher@example.com", env=environment)
    finally:
        run("gpgconf", "--kill", "all", env=environment)
    encapsulate(tmp_path / "repository", "ock").write(tmp_path / "signed")
    archive(f"oci:{tmp_path}/signed:latest")

    podman("load", "--quiet", "--input", archive.dest)
    with podman.serving(IMAGE, 80, "ostree/config") as url:
        for name in ("publisher", "stranger"):
            client = f"--repo={tmp_path / f'client-of-{name}'}"
            run("ostree", client, "init", "--mode=bare")
            run("ostree", client, "remote", "add", f"--gpg-import={tmp_path / name}.gpg", "ock", f"{url}/ostree")
            if name == "publisher":
                run("ostree", client, "pull", "ock", "ock")
                run("ostree", client, "fsck")
            else:
                with pytest.raises(RuntimeError, match="public key not found"):
                    run("ostree", client, "pull", "ock", "ock")


def _listing(top: Path) -> dict[str, tuple[object, ...]]:
    """Everything that ostree keeps of what is below a folder."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        names = os.listxattr(path, follow_symlinks=False)
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        mode = stat.S_IFMT(status.st_mode) if path.is_symlink() else status.st_mode
        found[str(path.relative_to(top))] = (mode, status.st_uid, status.st_gid, content, attributes)
    return found


def test_what_was_encapsulated_is_found_again(archive: Archiver, tmp_path: Path) -> None:
    """The archive, encapsulated again, is what ostree-ext made: nothing is lost, and the tests' writer is right."""
    archive(f"oci-archive:{SINGLE}")
    repository = unpack(archive.dest, tmp_path / "unpacked")
    ours, theirs = (
        [(m.info.name, m.info.type, m.info.mode, m.info.uid, m.info.gid, m.info.linkname, m.content) for m in image.layers[0]]
        for image in (encapsulate(repository, "ock"), load(SINGLE))
    )
    assert ours == theirs


def test_a_push_and_a_pull_move_the_bytes_as_they_are(made: Archive, tmp_path: Path) -> None:
    with registry.serve() as running:
        reference = running.reference("ock-ostree:1.33")
        run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci-archive:{made.path}", reference)
        inspected = run("skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}} {{.Architecture}}", reference)
        assert inspected.split() == [made.result["digest"], "amd64"]
        run("skopeo", "copy", "--quiet", "--src-tls-verify=false", reference, f"oci-archive:{tmp_path / 'back.tar'}")
    assert run("skopeo", "inspect", "--format={{.Digest}}", f"oci-archive:{tmp_path / 'back.tar'}").strip() == made.result["digest"]


@pytest.mark.parametrize("transport", ["dir", "docker-archive", "oci"])
def test_other_transports_take_it(made: Archive, tmp_path: Path, transport: str) -> None:
    name = f"{transport}:{tmp_path}/copy" + (f":{IMAGE}" if transport == "docker-archive" else "")
    run("skopeo", "copy", "--quiet", f"oci-archive:{made.path}", name)
    assert made.result["commit"] in run("skopeo", "inspect", "--config", name)


def test_an_unprivileged_base_image_with_another_root_and_port_serves_too(archive: Archiver, podman: Podman, tmp_path: Path) -> None:
    write_nginx_image(tmp_path / "other", port=8080, root="/srv/www", compression="none")
    result = archive(f"oci-archive:{SINGLE}", base_image=f"oci:{tmp_path}/other:latest", ref="ock/next")
    assert result["port"] == 8080
    assert "no errors found" in run("ostree", f"--repo={unpack(archive.dest, tmp_path / 'unpacked', 'srv/www')}", "fsck")
    podman("load", "--quiet", "--input", archive.dest)
    assert '"8080/tcp"' in podman("image", "inspect", IMAGE)
    with podman.serving(IMAGE, 8080, "ostree/config") as url:
        assert run("curl", "--fail", "--silent", f"{url}/ostree/refs/heads/ock/next").strip() == result["commit"]
