# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images that are made to do harm, given to modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.hostile.judging import judge, run
from tests.support.hostile_containers import ARCHIVES, DISKS, OSTREE, VICTIM, Attack
from tests.support.measured_calls import Limits
from tests.support.nginx_image import MAIN_CONFIGURATION, SITE_CONFIGURATION, write_image

LIMITS = Limits(open_files=128, seconds=120)
BASE = {
    "etc/nginx/nginx.conf": MAIN_CONFIGURATION.encode(),
    "etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=80, root="/usr/share/nginx/html").encode(),
}


def prove(top: Path, attacks: Mapping[str, Attack], modules: Mapping[str, Mapping[str, Any]]) -> None:
    (top / VICTIM).mkdir()
    (top / VICTIM / "precious").write_text("to be left alone")
    sources = {}
    for number, (name, attack) in enumerate(attacks.items()):
        folder = top / f"sources/{number}"
        folder.parent.mkdir(exist_ok=True)
        sources[name] = attack.make(folder)
    judge({name: attack.said for name, attack in attacks.items()}, run(top, sources, modules, LIMITS))


def test_images_of_disks(tmp_path: Path) -> None:
    boot_image = {"dest": str(tmp_path / "dest/boot.oci"), "engine": "native"}
    prove(tmp_path, DISKS, {"ocne_boot_image": boot_image, "ocne_image_info": {"engine": "native"}})


def test_containers_of_ostree_commits(tmp_path: Path) -> None:
    write_image(tmp_path / "base", (BASE,))
    prove(tmp_path, OSTREE, {"ocne_ostree_archive": {"dest": str(tmp_path / "dest/a.tar"), "base_image": f"oci:{tmp_path}/base:latest"}})


def test_archives_that_skopeo_unpacks(tmp_path: Path) -> None:
    write_image(tmp_path / "base", (BASE,))
    archive = {"dest": str(tmp_path / "dest/a.tar"), "base_image": f"oci:{tmp_path}/base:latest"}
    boot_image = {"dest": str(tmp_path / "dest/boot.oci"), "engine": "native"}
    modules = {"ocne_boot_image": boot_image, "ocne_image_info": {"engine": "native"}, "ocne_ostree_archive": archive}
    prove(tmp_path, ARCHIVES, modules)
