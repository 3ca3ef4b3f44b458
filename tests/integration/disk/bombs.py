# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small images that unpack to very much, given to modules: each is refused, with how long and how much memory that took."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import zstandard

from tests.support.hostile_containers import member, write_image
from tests.support.measured_calls import Call, Limits, call
from tests.support.nginx_image import MAIN_CONFIGURATION
from tests.support.nginx_image import write_image as write_nginx_image

_GIBIBYTE = 1 << 30
_ZEROS = 40  # GiB
_MEMBERS = 10_000_000
_STEP = 100_000
_PEAK = 256 << 20


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


#: Whatever follows the first piece is the same again: gzip's members and zstd's frames follow each other.
_PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "zstd": zstandard.compress}


def _zeros(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(member("zeros", size=_ZEROS * _GIBIBYTE)) + pack(bytes(_GIBIBYTE)) * _ZEROS


def _members(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(b"".join(member(f"{number:05}") for number in range(_STEP))) * (_MEMBERS // _STEP)


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    write_nginx_image(folder / "base", ({"etc/nginx/nginx.conf": MAIN_CONFIGURATION.encode()},))
    labels = {"Labels": {"ostree.final-diffid": f"sha256:{hashlib.sha256(b'').hexdigest()}"}}
    dest = folder / "dest"
    failed = 0
    for packer, pack in _PACKERS.items():
        for make in (_zeros, _members):
            reference = write_image(folder / "image", b"", make(pack), config={"config": labels})
            size = sum(path.stat().st_size for path in (folder / "image/blobs/sha256").iterdir())
            for module in ("ocne_boot_image", "ocne_ostree_archive"):
                params = {"source": reference, "cache_dir": str(folder / "cache"), "architecture": "amd64", "dest": str(dest / "file")}
                if module == "ocne_ostree_archive":
                    params["base_image"] = f"oci:{folder}/base:latest"
                (measured,) = call([Call(module, params)], Limits(seconds=1200), {})
                held = measured.peak < _PEAK and ("made to fill disks" in measured.message or "members: none" in measured.message)
                failed += not held or any(dest.iterdir())
                print(
                    f"{'ok' if held else 'FAILED'}: {make.__name__[1:]} by {packer}, {size} bytes, {module}: {measured.seconds:.0f} s,"
                    f" {measured.peak >> 20} MiB: {measured.message}",
                    flush=True,
                )
            shutil.rmtree(folder / "image")
            shutil.rmtree(folder / "cache", ignore_errors=True)
    return int(bool(failed))
