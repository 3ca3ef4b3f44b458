# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small image with the nginx of this machine and the libraries it needs, in the shape of the official nginx image.

python -m tests.support.nginx_image DEST [--port 8080] [--root /srv/www] [--compression none] [--architecture arm64]
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from tests.support.command import run
from tests.support.container_image import CONFIG, LAYERS, MANIFEST, Layout

NGINX = Path("/usr/sbin/nginx")
USER = 101
DEFAULT_ROOT = "/usr/share/nginx/html"

MAIN_CONFIGURATION = """user nginx;
worker_processes 1;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 64; }
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    include /etc/nginx/conf.d/*.conf;
}
"""
SITE_CONFIGURATION = """server {{
    listen {port};
    listen [::]:{port};
    server_name localhost;
    #access_log /var/log/nginx/host.access.log main;
    location / {{
        root {root};
        index index.html;
    }}
    error_page 500 502 503 504 /50x.html;
    location = /50x.html {{ root /usr/share/nginx/html; }}
}}
"""
_FOLDERS = {
    "run": 0o755,
    "tmp": 0o1777,
    "etc": 0o755,
    "etc/nginx": 0o755,
    "etc/nginx/conf.d": 0o755,
    "usr": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/lib": 0o755,
    "var/lib/nginx": 0o755,
    "var/log": 0o755,
    "var/log/nginx": 0o755,
}


#: Content of a file, or where a symlink points.
Files = Mapping[str, Union[bytes, str]]

_DOCKER_LAYERS = {
    "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "none": "application/vnd.docker.image.rootfs.diff.tar",
}
_RUN = {
    "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=test"],
    "Cmd": ["/usr/sbin/nginx", "-g", "daemon off;"],
    "Labels": {"maintainer": "tests"},
    "StopSignal": "SIGQUIT",
}


def write_nginx_image(
    dest: Path,
    *,
    port: int = 80,
    root: str = DEFAULT_ROOT,
    compression: str = "gzip",
    architecture: str = "amd64",
    more: Sequence[Files] = (),
) -> str:
    """Make the folder dest an OCI layout with the image, tagged 'latest'; the digest of its manifest.

    :param compression: 'gzip' or 'none'.
    :param more: further layers.
    """
    program: dict[str, Union[bytes, str]] = {"etc/passwd": f"root:x:0:0::/:\nnginx:x:{USER}:{USER}::/:\n".encode()}
    program["etc/group"] = f"root:x:0:\nnginx:x:{USER}:\n".encode()
    for path in (NGINX, *_libraries()):
        program[str(path).lstrip("/")] = path.read_bytes()
    program["etc/nginx/mime.types"] = Path("/etc/nginx/mime.types").read_bytes()
    program["etc/nginx/nginx.conf"] = MAIN_CONFIGURATION.encode()
    site: Files = {
        f"{root.lstrip('/')}/index.html": b"It works.\n",
        "etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=port, root=root).encode(),
    }
    return write_image(dest, (program, site, *more), architecture=architecture, compression=compression)


def write_image(
    dest: Path,
    layers: Sequence[Files],
    *,
    architecture: str = "amd64",
    compression: str = "gzip",
    docker: bool = False,
    run: Optional[Mapping[str, Any]] = None,
) -> str:
    """Make the folder dest an OCI layout with an image of these layers, tagged 'latest'; the digest of its manifest.

    :param docker: give the layers Docker's media types.
    :param run: what the configuration says beside the usual; None as a value takes a key away.
    """
    layout = Layout(dest)
    stored, diff_ids = [], []
    for files in layers:
        plain = _tar(files)
        packed = gzip.compress(plain, 1, mtime=0) if compression == "gzip" else plain
        media_type = _DOCKER_LAYERS[compression] if docker else LAYERS[compression]
        stored.append(layout.add_blob(packed, media_type))
        diff_ids.append(f"sha256:{hashlib.sha256(plain).hexdigest()}")
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {key: value for key, value in {**_RUN, **(run or {})}.items() if value is not None},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "no layer", "empty_layer": True}, *({"created_by": "a layer"} for _layer in layers)],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add_blob(json.dumps(config).encode(), CONFIG),
        "layers": stored,
    }
    descriptor = {**layout.add_blob(json.dumps(manifest).encode(), MANIFEST), "platform": {"architecture": architecture, "os": "linux"}}
    layout.tag("latest", descriptor)
    return str(descriptor["digest"])


def _libraries() -> list[Path]:
    return [Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+)", run("ldd", NGINX), re.MULTILINE)]


def _tar(files: Files) -> bytes:
    folders = dict(_FOLDERS)
    for name in files:
        for parent in Path(name).parents:
            folders.setdefault(str(parent), 0o755)
    folders.pop(".", None)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(folders):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, folders[name]
            archive.addfile(entry)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
                continue
            entry.size, entry.mode = len(content), 0o755 if content[:4] == b"\x7fELF" else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a container image with nginx, as an OCI layout folder.")
    parser.add_argument("dest", type=Path)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--root", default=DEFAULT_ROOT)
    parser.add_argument("--compression", choices=("gzip", "none"), default="gzip")
    parser.add_argument("--architecture", default="amd64")
    options = parser.parse_args()
    print(
        write_nginx_image(
            options.dest, port=options.port, root=options.root, compression=options.compression, architecture=options.architecture
        )
    )


if __name__ == "__main__":
    main()
