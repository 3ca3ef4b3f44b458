# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that are disturbed: how each is run, what a reader sees of its artefact meanwhile, and what it leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar, Optional

from ansible_collections.ocne.images.plugins.module_utils._files import file_sha256

from tests.support import registry, relay, watching
from tests.support.command import ROOT
from tests.support.container_image import MANIFEST
from tests.support.image_push import Image
from tests.support.nginx_image import write_nginx_image
from tests.support.oci_endpoint import Endpoint, Settings
from tests.support.oci_import import BUCKET, COMPARTMENT, make_disk
from tests.support.ostree_image import SINGLE
from tests.support.registry import Registry
from tests.support.relay import Relay
from tests.support.sample_disk import SMALL
from tests.support.sample_image import write_layout

#: The variable by which processes of a case are known.
MARK = "OCNE_IMAGES_FAULT_CASE"
NOTHING, OLD, NEW = "nothing", "old", "new"


@dataclass(frozen=True)
class Site:
    """What all cases share: a registry with the sources, behind a relay, and files.

    :param through: 'localhost:PORT' of the relay.
    """

    folder: Path
    registry: Registry
    relay: Relay
    through: str
    disk: Path
    images: Sequence[Image]


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    write_layout(folder / "boot")
    write_nginx_image(folder / "nginx")
    with registry.serve() as running, relay.relay(("127.0.0.1", int(running.host.rpartition(":")[2]))) as between:
        running.push(f"oci:{folder}/boot:{SMALL.version}", "olcne/ock:1.33")
        running.push(f"oci:{folder}/nginx:latest", "library/nginx:stable")
        running.push(f"oci-archive:{SINGLE}", "olcne/ock-ostree:1.33")
        images = [Image(folder / f"image-{number}", number, "none", 4 << 20) for number in (1, 2)]
        disk = make_disk(folder / "disk.qcow2", 4)
        yield Site(folder, running, between, f"localhost:{between.port}", disk, images)


class Step:
    """One step in a folder of its own: home, images, cache and tmp.

    :param relay: through which it reaches what it needs.
    """

    module = ""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        for name in ("home", "images", "cache", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.relay = site.relay
        self.changes: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        raise NotImplementedError

    def put_old(self) -> bool:
        """Let there be an artefact of other options or another source; whether there can be one."""
        return False

    def look(self) -> str:
        """What a reader finds under the artefact's name: nothing, old, new, or what else."""
        raise NotImplementedError

    def left(self) -> list[str]:
        """What is there and should not be, once all has been done."""
        return [*self.temporary(), *(str(path) for path in (self.folder / "home/.ocne").glob("[ub]*/*"))]

    def temporary(self) -> list[str]:
        """Files that only a run in progress may have."""
        found = [path for name in ("images", "cache") for path in watching.below(self.folder / name)]
        found = [path for path in found if path.name.startswith((".", "oci-put-blob"))]
        return [str(path) for path in (*found, *watching.below(self.folder / "tmp"))]

    def start(self, *prefix: str) -> subprocess.Popen[bytes]:
        """The module in a process of its own: its result goes to the file 'result', what it says else to 'said'."""
        command = [*prefix, sys.executable, "-m", "tests.integration.faults.impatient", self.module]
        folders = {"HOME": self.folder / "home", "TMPDIR": self.folder / "tmp", "REGISTRY_AUTH_FILE": self.folder / "no-auth.json"}
        environment = {**os.environ, **{name: str(path) for name, path in folders.items()}, MARK: str(self.folder)}
        given = self.site.folder / "parameters.json"
        given.write_text(json.dumps({**self.params, **self.changes}))
        with given.open() as stdin, self.result.open("wb") as stdout, self.said.open("wb") as stderr:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)

    @property
    def result(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.result")

    @property
    def said(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.said")

    def close(self) -> None:
        """Give back what it holds."""


class FileStep(Step):
    """A step that makes a file, and always the same bytes."""

    name = ""
    #: What contents of each step are, as the first runs have made them.
    known: ClassVar[dict[tuple[type, str], str]] = {}

    def __init__(self, site: Site, folder: Path) -> None:
        super().__init__(site, folder)
        self.dest = folder / "images" / self.name
        self._seen: tuple[object, str] = (None, NOTHING)

    @property
    def old(self) -> dict[str, Any]:
        """Options that give another artefact."""
        raise NotImplementedError

    def put_old(self) -> bool:
        kept = self.site.folder / f"old-{type(self).__name__}"
        if not kept.exists():
            kept.mkdir()
            self.changes = self.old
            self.learn(OLD)
            self.changes = {}
            shutil.copytree(self.folder / "images", kept, dirs_exist_ok=True, symlinks=True)
            shutil.rmtree(self.folder / "cache")
            (self.folder / "cache").mkdir()
        shutil.rmtree(self.folder / "images")
        shutil.copytree(kept, self.folder / "images", symlinks=True)
        return True

    def learn(self, what: str) -> None:
        """Run it, and let what it makes be known by this name."""
        if self.start().wait():
            raise RuntimeError(f"It fails without a fault: {self.result.read_text()}{self.said.read_text()}")
        self.known[type(self), self.identity()] = what

    def identity(self) -> str:
        """Of the artefact's content; FileNotFoundError where it is not there."""
        return file_sha256(self.dest)

    @property
    def top(self) -> Path:
        """The file whose appearance makes the artefact."""
        return self.dest

    def look(self) -> str:
        try:
            stat = self.top.stat()
            key = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if key != self._seen[0]:
                self._seen = (key, self.known.get((type(self), self.identity()), "half-made"))
            return self._seen[1]
        except FileNotFoundError:
            return NOTHING


class BootImage(FileStep):
    module, name = "ocne_boot_image", "boot.oci"

    @property
    def old(self) -> dict[str, Any]:
        return {"kernel_arguments": ["old"]}

    @property
    def params(self) -> dict[str, Any]:
        common = {"cache_dir": str(self.folder / "cache"), "architecture": "amd64", "tls_verify": False, "engine": "native"}
        return {"source": f"docker://{self.site.through}/olcne/ock:1.33", "dest": str(self.dest), **common}


class OstreeArchive(FileStep):
    module, name = "ocne_ostree_archive", "archive.tar"

    @property
    def old(self) -> dict[str, Any]:
        return {"compression_level": 9}

    @property
    def params(self) -> dict[str, Any]:
        sources = {"source": "olcne/ock-ostree:1.33", "base_image": "library/nginx:stable"}
        common = {"cache_dir": str(self.folder / "cache"), "architecture": "amd64", "tls_verify": False}
        return {**{name: f"docker://{self.site.through}/{each}" for name, each in sources.items()}, "dest": str(self.dest), **common}


class PushToFile(FileStep):
    """An image to a place on this host, by each transport."""

    module, name = "ocne_image_push", "image"
    transport = "oci-archive"

    @property
    def old(self) -> dict[str, Any]:
        return {"src": self.site.images[0].reference}

    @property
    def params(self) -> dict[str, Any]:
        tag = "" if self.transport == "dir" else ":t"
        return {"src": self.site.images[1].reference, "dest": f"{self.transport}:{self.dest}{tag}", "retries": 3}

    def identity(self) -> str:
        reference = self.params["dest"]
        read = self.folder.with_name(f"{self.folder.name}-read")
        command = ["skopeo", "copy", "-q", reference, f"dir:{read}"]
        shutil.rmtree(read, ignore_errors=True)
        self.top.stat()
        done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "TMPDIR": str(self.site.folder)})
        if done.returncode:
            return f"unreadable: {done.stderr.decode()}"
        return hashlib.sha256((read / "manifest.json").read_bytes()).hexdigest()


class PushToLayout(PushToFile):
    """Blobs are where they stay before the index names them."""

    transport = "oci"

    @property
    def top(self) -> Path:
        return self.dest / "index.json"


class PushToFolder(PushToFile):
    transport = "dir"


class PushToRegistry(Step):
    module = "ocne_image_push"

    def __init__(self, site: Site, folder: Path) -> None:
        super().__init__(site, folder)
        self.repository = f"case/{folder.name}"
        self._seen: dict[str, str] = {}
        self._last = NOTHING

    @property
    def params(self) -> dict[str, Any]:
        dest = f"docker://{self.site.through}/{self.repository}:t"
        return {"src": self.site.images[1].reference, "dest": dest, "tls_verify": False, "retries": 3}

    def put_old(self) -> bool:
        self.site.registry.push(self.site.images[0].reference, f"{self.repository}:t")
        return True

    def look(self) -> str:
        """Whether the tag leads to an image all of whose blobs can be read."""
        try:
            manifest = self._get("manifests/t")
        except urllib.error.HTTPError as error:
            error.close()
            # While it writes a tag's file, this registry may answer 500.
            return NOTHING if error.code == 404 else self._last
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        if digest not in self._seen:
            document = json.loads(manifest)
            whole = all(self._is_whole(each["digest"]) for each in (document["config"], *document["layers"]))
            names = dict(zip((image.digest for image in self.site.images), (OLD, NEW)))
            self._seen[digest] = names.get(digest, "another") if whole else "half-made"
        self._last = self._seen[digest]
        return self._last

    def _get(self, what: str) -> bytes:
        request = urllib.request.Request(f"{self.site.registry.url}/v2/{self.repository}/{what}", headers={"Accept": MANIFEST})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def _is_whole(self, digest: str) -> bool:
        try:
            return f"sha256:{hashlib.sha256(self._get(f'blobs/{digest}')).hexdigest()}" == digest
        except urllib.error.HTTPError as error:
            error.close()
            return False


class Import(Step):
    module = "ocne_oci_import"

    def __init__(self, site: Site, folder: Path) -> None:
        super().__init__(site, folder)
        self.cloud = Endpoint(settings=Settings(min_part_size=100, delete_while_importing=True, import_seconds=0.2)).start()
        self.cloud.add_compartment(COMPARTMENT)
        self._between = relay.relay(("127.0.0.1", int(self.cloud.url.rpartition(":")[2])))
        self.relay = self._between.__enter__()
        self._content = site.disk.read_bytes()
        self._seen: dict[str, bool] = {}

    @property
    def params(self) -> dict[str, Any]:
        services = ("identity", "object_storage", "compute", "work_requests")
        return {
            "src": str(self.site.disk),
            "compartment": COMPARTMENT,
            "architecture": "amd64",
            "config_file_location": str(self.cloud.config_file),
            "auth_type": "security_token",
            "config_profile_name": "SESSION",
            "endpoints": dict.fromkeys(services, f"http://127.0.0.1:{self.relay.port}"),
            "import_through": "preauthenticated_request",
            "wait_timeout": 60,
        }

    def look(self) -> str:
        """Whether there is an image that can be used, and its disk is the one that was given."""
        found = NOTHING
        for identifier, image in list(self.cloud.images.by_id.items()):
            if image.document["lifecycleState"] == "AVAILABLE":
                if identifier not in self._seen:
                    self._seen[identifier] = image.disk.read_bytes() == self._content
                found = NEW if self._seen[identifier] else "half-made"
        return found

    def left(self) -> list[str]:
        self.cloud.wait_for_imports()
        bucket = self.cloud.buckets.by_name.get(BUCKET)
        images = [image for image in self.cloud.images.by_id.values() if image.document["lifecycleState"] != "DELETED"]
        found: list[str] = [*super().left(), *[f"image {number}" for number in range(1, len(images))]]
        if bucket:
            for kind, things in (("object", bucket.objects), ("upload", bucket.uploads), ("access request", bucket.access_requests)):
                found += [f"{kind} {name}" for name in things]
        return found + [f"schema {name}" for name in list(self.cloud.capability_schemas.by_id)[1:]]

    def close(self) -> None:
        self._between.__exit__(None, None, None)
        self.cloud.stop()


STEPS: dict[str, Callable[[Site, Path], Step]] = {
    "boot image": BootImage,
    "ostree archive": OstreeArchive,
    "push to a registry": PushToRegistry,
    "push to an archive": PushToFile,
    "push to a layout": PushToLayout,
    "push to a folder": PushToFolder,
    "import": Import,
}


def processes_of(step: Step) -> list[int]:
    """Processes of the module, which know the folder as their mark."""
    mark = os.fsencode(f"{MARK}={step.folder}\0")
    return [process.pid for process in watching.processes() if mark in process.environment]


def read_result(step: Step) -> Optional[dict[str, Any]]:
    """What the module said in the end; None where it said nothing."""
    with suppress(ValueError):
        value: dict[str, Any] = json.loads(step.result.read_text())
        return value
    return None
