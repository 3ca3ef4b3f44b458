# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong on the way: said clearly, tried again where that can help, and nothing half done left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import module_call, registry
from tests.support.command import run
from tests.support.image_push import Image, failure, push, tree
from tests.support.watching import below, processes, wait_until

MIB = 1 << 20


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An image that takes some time to copy."""
    return Image(tmp_path_factory.mktemp("big") / "image", compression="none", size=192 * MIB)


def _once_it_uploads(running: registry.Registry, action: Any) -> threading.Thread:
    """Do something as soon as some of an image has been uploaded."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if _uploaded(running) > 4 * MIB:
                action()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def _uploaded(running: registry.Registry) -> int:
    """Bytes that the registry has of uploads that go on."""
    total = 0
    for path in below(running.storage):
        if path.name == "data" and path.parent.parent.name == "_uploads":
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


def test_registry_that_goes_away_and_comes_back(big: Image) -> None:
    with registry.serve() as running:
        gone: list[float] = []

        def restart() -> None:
            running.stop()
            gone.append(time.monotonic())
            time.sleep(0.5)
            running.start()

        thread = _once_it_uploads(running, restart)
        made = push(big.reference, f"docker://{running.host}/big:1", tls_verify=False, retries=3)
        thread.join()
        assert gone
        assert made["digest"] == big.digest
        run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{running.host}/big:1", f"dir:{running.storage}/back")


def test_registry_that_goes_away(big: Image) -> None:
    with registry.serve() as running:
        thread = _once_it_uploads(running, running.stop)
        result = failure(big.reference, f"docker://{running.host}/big:1", tls_verify=False, retries=1)
        thread.join()
        assert (result["reason"], result["registry"]) == ("unreachable", running.host)
        assert "Check the registry's name" in result["msg"]


def test_registry_that_is_not_there(image: Image) -> None:
    result = failure(image.reference, "docker://localhost:1/a:1", tls_verify=False)
    assert result["reason"] == "unreachable"
    assert "connection refused" in result["msg"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    try:
        yield folder
    finally:
        run("umount", folder)


@pytest.mark.parametrize("reference", ["dir:{}/d", "oci:{}/o:t", "oci-archive:{}/oa.tar:t", "docker-archive:{}/da.tar:localhost/a:1"])
def test_disk_full(reference: str, image: Image, big: Image, small_disk: Path) -> None:
    dest = reference.format(small_disk)
    result = failure(big.reference, dest)
    assert result["reason"] == "space"
    assert "no space left" in result["msg"]
    assert list(small_disk.iterdir()) == []

    push(image.reference, dest)
    before = push(image.reference, dest)
    failure(big.reference, dest)
    assert push(image.reference, dest) == before
    assert [path.name for path in small_disk.iterdir() if path.name.startswith(".")] == []


def test_docker_daemon_that_is_not_there(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    result = failure(image.reference, "docker-daemon:localhost/a:1")
    assert result["reason"] == "unreachable"
    assert f"{tmp_path}/docker.sock" in result["msg"]
    assert result["msg"].endswith("Start it, or say in DOCKER_HOST where it listens.")


def test_mount_point_is_no_folder_to_replace(image: Image, small_disk: Path) -> None:
    assert f"dir:{small_disk}/image" in failure(image.reference, f"dir:{small_disk}")["msg"]


@pytest.mark.parametrize(
    ("dest", "said"),
    [
        ("ostree:ock@/tmp/repo", "not supported in this build"),
        ("sif:/tmp/x.sif", "cannot write to it"),
        ("docker:host/name", "is followed by //"),
        ("/srv/archive.tar", "Write oci-archive:/srv/archive.tar"),
        ("docker://host/UPPER:1", "repository name must be lowercase"),
        ("docker://no-such-host.invalid/a:1", "no such host|server misbehaving|lookup"),
        ("oci-archive:/proc/nowhere/a.tar", "/proc"),
        ("dir:/etc", "holds something else than an image"),
        ("docker-archive:/etc/passwd", "is no image archive"),
        ("", "is not a reference"),
    ],
)
def test_destination_that_cannot_be(dest: str, said: str, image: Image) -> None:
    message = failure(image.reference, dest)["msg"]
    assert any(each in message for each in said.split("|")), message


@pytest.mark.parametrize(
    ("src", "said"),
    [
        ("/nowhere/a.tar", "is not there"),
        ("oci-archive:/nowhere/a.tar", "no such file"),
        ("oci:{image}:other", "no descriptor found"),
        ("dir:{tmp}", "no such file"),
        ("{tmp}/empty.tar", "Could not read the manifest"),
        ("{tmp}/cut.tar", "Could not"),
        ("containers-storage:localhost/none", "identifier is not an image"),
    ],
)
def test_source_that_cannot_be(src: str, said: str, image: Image, tmp_path: Path) -> None:
    (tmp_path / "empty.tar").touch()
    whole = image.archive(tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    dest = tmp_path / "out.tar"
    assert said in failure(src.format(image=image.folder, tmp=tmp_path), f"oci-archive:{dest}:t")["msg"]
    assert not dest.exists()


@pytest.mark.parametrize("what", ["manifest", "config", "layer"])
def test_damaged_image_does_not_arrive(what: str, image: Image, tmp_path: Path) -> None:
    dest = f"oci-archive:{tmp_path}/out.tar:t"
    push(image.reference, dest)
    before = (tmp_path / "out.tar").read_bytes()
    broken = Image(tmp_path / "broken", size=50000)
    manifest = json.loads((broken.folder / "blobs" / broken.digest.replace(":", "/")).read_text())
    digest = {"manifest": broken.digest, "config": manifest["config"]["digest"], "layer": manifest["layers"][1]["digest"]}[what]
    blob = broken.folder / "blobs" / digest.replace(":", "/")
    content = blob.read_bytes()
    damaged = content.replace(b"linux", b"lunix") if what == "config" else content.replace(b"layer", b"lager")
    if what == "layer":
        damaged = content[:30000] + bytes([content[30000] ^ 1]) + content[30001:]
    assert damaged != content
    blob.write_bytes(damaged)
    message = failure(broken.reference, dest)["msg"]
    assert any(each in message.lower() for each in ("damaged", "digest", "match", "corrupt")), message
    assert (tmp_path / "out.tar").read_bytes() == before


@pytest.mark.parametrize("reference", ["oci-archive:{}/dest.tar:t", "docker-archive:{}/dest.tar:localhost/a:1"])
def test_archive_that_another_tool_left_half_written_is_replaced(reference: str, image: Image, tmp_path: Path) -> None:
    whole = image.archive(tmp_path / "whole.tar").read_bytes()
    (tmp_path / "dest.tar").write_bytes(whole[: len(whole) // 2])
    assert push(image.reference, reference.format(tmp_path))["copied"]
    assert not push(image.reference, reference.format(tmp_path))["changed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("reference", ["dir:{}/dest", "oci:{}/dest:t", "oci-archive:{}/dest:t", "docker-archive:{}/dest:localhost/a:1"])
def test_run_that_is_ended_leaves_the_old_image(reference: str, number: signal.Signals, image: Image, big: Image, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    dest = reference.format(folder)
    push(image.reference, dest)
    before = _files(folder)
    process = module_call.start("ocne_image_push", {"src": big.reference, "dest": dest})
    wait_until(lambda: any(path.name.endswith(".part") and str(path) not in before for path in below(folder)), process)
    time.sleep(0.1)  # some of it is written
    process.send_signal(number)
    output = process.communicate()[0]
    # A module that is killed leaves a skopeo that ends on its own.
    wait_until(lambda: not any(b"skopeo" in each.arguments and os.fsencode(folder) in each.arguments for each in processes()))
    assert {path: facts for path, facts in _files(folder).items() if path in before} == before
    if number == signal.SIGTERM:
        assert "Ended by SIGTERM" in json.loads(output)["msg"]
        assert [path.name for path in folder.iterdir()] == ["dest"]
    # Whatever it left, the next run makes it right.
    assert push(image.reference, dest)["changed"] is False
    assert push(big.reference, dest)["copied"]
    assert [path.name for path in folder.iterdir()] == ["dest"]


def _files(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {path: facts for path, facts in tree(folder).items() if Path(path).is_file()}


def test_two_runs_at_once_both_succeed(image: Image, tmp_path: Path) -> None:
    for dest in (f"oci-archive:{tmp_path}/a.tar:t", f"dir:{tmp_path}/d", f"oci:{tmp_path}/o:t"):
        runs = [module_call.start("ocne_image_push", {"src": image.reference, "dest": dest}) for _each in range(2)]
        results = [json.loads(each.communicate()[0]) for each in runs]
        assert [result.get("digest") for result in results] == [image.digest] * 2, results


def test_secret_is_seen_nowhere(big: Image, tmp_path: Path) -> None:
    """The password is looked for while skopeo runs: in all processes' arguments and environments, in files that others can read,
    and in the result."""
    with registry.serve(auth=True) as running:
        params = {"src": big.reference, "dest": f"docker://{running.host}/big:1", "tls_verify": False}
        params.update(username=registry.USER, password=registry.PASSWORD)
        process = module_call.start("ocne_image_push", params)
        looks, skopeo_runs = 0, 0
        while process.poll() is None:
            looks += 1
            for running_now in processes():
                if b"skopeo" in running_now.arguments:
                    skopeo_runs += 1
                    assert registry.PASSWORD.encode() not in running_now.arguments + running_now.environment
                    _authfile_is_private(running_now.arguments)
        output = process.communicate()[0]
        assert json.loads(output)["copied"]
        assert registry.PASSWORD not in output
        assert looks > 3
        assert skopeo_runs > 3


def _authfile_is_private(arguments: bytes) -> None:
    for argument in arguments.split(b"\0"):
        if b"authfile=" in argument:
            path = Path(os.fsdecode(argument.partition(b"=")[2]))
            try:
                assert path.stat().st_mode & 0o077 == 0
                assert path.parent.stat().st_mode & 0o077 == 0
            except FileNotFoundError:
                pass  # skopeo has ended meanwhile


def test_nothing_temporary_is_left(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    push(image.archive(tmp_path / "a.tar"), f"oci-archive:{tmp_path}/b.tar:t")
    failure(image.reference, "docker://localhost:1/a:1", username="u", password="p", tls_verify=False)
    assert list(temporary.iterdir()) == []
