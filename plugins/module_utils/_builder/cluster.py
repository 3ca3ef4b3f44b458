# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds on a cluster: the same programs as on this host, in a pod. Registries are read from there; what only this host has is sent."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Union, cast

from .._containers.access import Access, credentials
from .._containers.failures import explain
from .._containers.fetch import fetch_command
from .._containers.reference import Reference
from .._errors import OcneError
from .._imagebuild.layout import DamagedBlob, Image, blob_path
from .._imagebuild.progress import Progress, silent
from .._kubernetes.cluster import open_cluster
from .._kubernetes.manifest import BUILDER, FILES, SECRETS, SIZE_LIMIT, WORK, Build, Placement, Step
from .._kubernetes.room import quantity
from .._kubernetes.run import PodGone, Run, StepRefused, prepare
from .._kubernetes.transfer import Transfers, WrongBytes
from .._kubernetes_client import OPTIONS as CLUSTER_OPTIONS
from .program import PROGRAM_MODULE, TRANSFER_MODULE, program_zip
from .source import FileSource, ImageSource, Source, with_images

#: Stock images for all architectures. Python 3.14 reads zstd by itself.
DEFAULT_BUILDER_IMAGE = "docker.io/library/python:3.14-slim"
DEFAULT_FETCHER_IMAGE = "quay.io/skopeo/stable:latest"

#: Options of modules that can build on a cluster; the documentation fragment 'builder' describes them.
BUILDER_OPTIONS: dict[str, dict[str, Any]] = {
    "builder": {"type": "str", "choices": ["local", "cluster"], "default": "local"},
    "builder_image": {"type": "str", "default": DEFAULT_BUILDER_IMAGE},
    "fetcher_image": {"type": "str", "default": DEFAULT_FETCHER_IMAGE},
    "namespace": {"type": "str", "default": "ocne-system"},
    "storage": {"type": "str", "default": "20Gi"},
    "storage_class": {"type": "str"},
    "node_selector": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "resources": {"type": "dict", "default": {}},
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "wait_timeout": {"type": "int", "default": 3600},
    **CLUSTER_OPTIONS,
}

#: What a pod asks for, by what works in it: libguestfs starts a virtual machine.
_NEEDS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "native": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
    "guestfs": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
}

#: Where libguestfs keeps its appliance, and the sockets by which it talks with it: not in /tmp, which is read-only.
_LIBGUESTFS = {"LIBGUESTFS_CACHEDIR": WORK, "XDG_RUNTIME_DIR": WORK}

_PROGRAM, _REQUEST, _CERTIFICATES = "program.zip", "request.json", "certificates"
_OUTPUT, _BLOBS = f"{WORK}/output", f"{WORK}/blobs"
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class _Delivery:
    """A file for the pod. sha256: in hex; cached: the file of the cache that it comes from, where it is one."""

    target: str
    content: Union[Path, bytes]
    size: int
    sha256: str
    cached: bool = False

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


def build_on_cluster(
    params: Mapping[str, Any],
    program: str,
    sources: Sequence[Source],
    arguments: Mapping[str, Any],
    output: Path,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run a build program in a pod and bring its output here.

    :param params: the module's, with BUILDER_OPTIONS.
    :param program: its name in _imagebuild.pod, with these arguments.
    :param output: written anew, mode 0600, verified by the digest that the program gave.
    :returns: the program's result, with 'sha256' and 'size'.
    :raises OcneError: nothing of the build is left on the cluster.
    """
    placement = _placement(params)
    cluster = open_cluster(params)
    prepare(cluster, placement)

    def work(images: Sequence[Image]) -> dict[str, Any]:
        build, deliveries = _plan(params, program, sources, images, arguments)
        with Run(cluster, build, placement, progress) as run, _explained(sources):
            return _carry_out(run, deliveries, output, progress)

    here = [source for source in sources if isinstance(source, ImageSource) and not _is_served(source)]
    return with_images(here, Path(params["cache_dir"]).expanduser(), work, progress)


def _placement(params: Mapping[str, Any]) -> Placement:
    quantity(params["storage"])
    if not _DNS_LABEL.fullmatch(params["namespace"]):
        raise OcneError(f"namespace {params['namespace']!r} cannot be the name of one.", "Use small letters, digits and hyphens.")
    needs = _NEEDS.get(params.get("engine") or "native", _NEEDS["native"])
    asked = params["resources"]
    return Placement(
        namespace=params["namespace"],
        storage=params["storage"],
        storage_class=params["storage_class"] or "",
        node_selector=params["node_selector"],
        tolerations=params["tolerations"],
        resources={kind: {**needs[kind], **(asked.get(kind) or {})} for kind in needs},
        pull_secrets=params["image_pull_secrets"],
        deadline=params["wait_timeout"],
    )


def _plan(
    params: Mapping[str, Any], program: str, sources: Sequence[Source], images: Sequence[Image], arguments: Mapping[str, Any]
) -> tuple[Build, list[_Delivery]]:
    """The build's containers and files, and what is to be sent.

    :param images: those of the sources that were fetched here, in order.
    """
    fetched_here = iter(images)
    fetches: list[Step] = []
    deliveries: list[_Delivery] = []
    secret_files: dict[str, bytes] = {}
    described: list[dict[str, str]] = []
    for index, source in enumerate(sources):
        layout = f"{WORK}/layout-{index}"  # its parent has to be there for skopeo
        if isinstance(source, FileSource):
            target = f"{WORK}/sources/{index}"
            deliveries.append(_Delivery(target, source.path, source.path.stat().st_size, source.digest.partition(":")[2]))
            described.append({"file": target})
            continue
        if _is_served(source):
            known = credentials(source.skopeo.access, source.image.reference.registry)
            if known:
                secret_files[f"{index}.json"] = known
            # A proxy's URL may hold a password.
            secret_files.update({name: value.encode() for name, value in (source.skopeo.access.proxy or {}).items()})
            fetches.append(_fetch(params, index, source, layout, bool(known)))
        else:
            deliveries += _layout_files(next(fetched_here), layout)
        described.append({"layout": layout, "blobs": _BLOBS})
    request = {
        "program": program,
        "awaits": [delivery.target for delivery in deliveries],
        "sources": described,
        "arguments": arguments,
        "output": _OUTPUT,
    }
    files = {_PROGRAM: program_zip(), _REQUEST: json.dumps(request).encode(), **_certificates(params)}
    if sum(map(len, files.values())) * 4 // 3 > SIZE_LIMIT:
        raise OcneError("ca_certificates is too large for a pod.", "Give only the certificate authorities that the registry needs.")
    builder = Step(
        BUILDER,
        params["builder_image"],
        ["python3", "-m", PROGRAM_MODULE, f"{FILES}/{_REQUEST}"],
        {"PYTHONPATH": f"{FILES}/{_PROGRAM}", "PYTHONUNBUFFERED": "1", **_LIBGUESTFS},
    )
    name = f"ocne-{program.replace('_', '-')}-{secrets.token_hex(5)}"
    return Build(name, program.replace("_", "-"), fetches, builder, files, secret_files), deliveries


def _is_served(source: ImageSource) -> bool:
    """Whether a registry gives it to a pod; one on this host's own loopback does not."""
    host = source.image.reference.registry.rpartition(":")[0] or source.image.reference.registry
    return bool(host) and host not in ("localhost", "[::1]") and not host.startswith("127.")


def _fetch(params: Mapping[str, Any], index: int, source: ImageSource, layout: str, credentials_known: bool) -> Step:
    access: Access = source.skopeo.access
    options = [f"--src-authfile={SECRETS}/{index}.json"] if credentials_known else []
    options += [] if access.tls_verify else ["--src-tls-verify=false"]
    options += [f"--src-cert-dir={FILES}/{_CERTIFICATES}"] if access.ca_certificates else []
    command = fetch_command(source.image, layout, _BLOBS, options)
    return Step(f"fetch-{index}", params["fetcher_image"], command, secret_environment={name: name for name in access.proxy or {}})


def _certificates(params: Mapping[str, Any]) -> dict[str, bytes]:
    path = params["ca_certificates"]
    return {f"{_CERTIFICATES}/ca.crt": Path(path).read_bytes()} if path else {}


def _layout_files(image: Image, layout: str) -> list[_Delivery]:
    """The files of an image that is here, as a layout in the pod."""
    manifest = blob_path(image.blobs, image.digest)
    index = {"schemaVersion": 2, "manifests": [{"digest": image.digest, "size": manifest.stat().st_size}]}
    config = str(image.manifest["config"]["digest"])
    digests = dict.fromkeys([image.digest, config, *(layer.digest for layer in image.layers)])
    blobs = [
        _Delivery(f"{_BLOBS}/sha256/{digest[7:]}", path, path.stat().st_size, digest[7:], True)
        for digest in digests
        for path in (_present(image.blobs, digest),)
    ]
    return [*blobs, _text(f"{layout}/index.json", json.dumps(index).encode())]


def _present(blobs: Path, digest: str) -> Path:
    path = blob_path(blobs, digest)
    if not path.is_file():
        raise DamagedBlob(path, f"blob {digest} is missing from the cache.")
    return path


def _text(target: str, content: bytes) -> _Delivery:
    return _Delivery(target, content, len(content), hashlib.sha256(content).hexdigest())


def _carry_out(run: Run, deliveries: Sequence[_Delivery], output: Path, progress: Progress) -> dict[str, Any]:
    """Send what is to be sent, wait, and fetch the output; from the start again in a new pod, where one is ended from outside."""
    while True:
        pod = run.wait_until_running()
        transfers = Transfers(
            lambda command, pod=pod: run.process(pod, command),  # type: ignore[misc]
            progress,
            lambda pod=pod: run.check(pod),  # type: ignore[misc]
        )
        try:
            for delivery in deliveries:
                _send(transfers, delivery)
            result = _result(run, pod, progress)
            size = int(result["size"])
            transfers.fetch(lambda offset, size=size: _sender(size, offset), output, size, str(result["sha256"]), "the result")  # type: ignore[misc]
            return result
        except PodGone as gone:
            progress(str(gone), 0, None)
            run.pause()


def _sender(size: int, offset: int) -> list[str]:
    return ["python3", "-m", TRANSFER_MODULE, "send", _OUTPUT, str(size), str(offset)]


def _send(transfers: Transfers, delivery: _Delivery) -> None:
    receiver = ["python3", "-m", TRANSFER_MODULE, "receive", delivery.target, str(delivery.size), delivery.sha256]
    what = delivery.content.name if isinstance(delivery.content, Path) else Path(delivery.target).name
    try:
        with delivery.open() as content:
            transfers.send(receiver, content, delivery.size, what)
    except WrongBytes as error:
        if delivery.cached and isinstance(delivery.content, Path):
            raise DamagedBlob(delivery.content, error.message) from error
        raise


def _result(run: Run, pod: str, progress: Progress) -> dict[str, Any]:
    """Wait for the program's result.

    :raises PodGone: its pod was ended.
    """
    while True:
        line = _last_json(run.last_lines(pod))
        if "result" in line:
            return dict(line["result"])
        if "doing" in line:
            progress(str(line["doing"]), int(line["done"]), line["total"])
        run.check(pod)
        run.pause()


def _last_json(lines: Sequence[str]) -> dict[str, Any]:
    """The last line that the program meant for us; {} where there is none.

    :param lines: the last one first.
    """
    for line in lines:
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict) and value.keys() & {"doing", "result", "error"}:
                return value
    return {}


@contextlib.contextmanager
def _explained(sources: Sequence[Source]) -> Iterator[None]:
    """Say what a container's log means."""
    try:
        yield
    except StepRefused as refused:
        name, _dash, index = refused.container.partition("-")
        if name == "fetch":
            source = cast(ImageSource, sources[int(index)])
            access = source.skopeo.access
            ends = ((source.image.reference, access), (Reference("oci", "pod"), access))
            raise explain(f"fetch {source.image.reference} in a pod", refused.log, ends) from refused
        line = _last_json(refused.log.splitlines()[::-1])
        if "error" in line:
            raise OcneError(str(line["error"]), str(line.get("hint") or "")) from refused
        last = " ".join(refused.log.split())[-500:]
        raise OcneError(
            f"{refused.message} It said: {last or 'nothing'}", "builder_image has to have Python 3.9 or newer, as python3."
        ) from refused
