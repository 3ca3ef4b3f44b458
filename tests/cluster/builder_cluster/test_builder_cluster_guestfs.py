# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libguestfs in a pod, in the image that docs/Containerfile.guestfs makes."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.builder_cluster.conftest import ClusterConverter
from tests.support import builder_images
from tests.support.command import run
from tests.support.disk_contents import contents


def test_libguestfs_in_a_pod_gives_the_contents_of_the_native_engine(convert: ClusterConverter, tmp_path: Path) -> None:
    image = builder_images.load(convert.cluster.name, "guestfs", env=convert.cluster.env)
    made = convert(engine="guestfs", builder_image=image)
    native = convert.local(engine="native")
    assert (made["engine"], native["engine"]) == ("guestfs", "native") and made["changes"] == native["changes"]
    assert contents(convert.dest, tmp_path) == contents(Path(native["path"]), tmp_path)
    run("qemu-img", "check", "-q", convert.dest)
    assert convert.left() == []
