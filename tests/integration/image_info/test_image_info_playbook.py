# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of the documentation, as ansible-playbook runs them: the whole module, sent as users' hosts get it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.integration.ostree.conftest import Archiver, unpack
from tests.support import documents, module_call, web_server
from tests.support.collection import collections_path
from tests.support.command import ROOT
from tests.support.nginx_image import write_nginx_image
from tests.support.ostree_image import COMMIT, SINGLE
from tests.support.sample_disk import SMALL, boot_disk
from tests.support.sample_image import write_layout

KEPT = "{{ {'boot_image': boot_image, 'fstab': fstab, 'served': served, 'archive': archive} | to_json }}"


def test_the_examples_run(tmp_path: Path) -> None:
    images = tmp_path / ".ocne/images"
    images.mkdir(parents=True)
    tmp_path.chmod(0o755)
    made = {"source": str(boot_disk(SMALL)), "dest": f"{images}/boot.qcow2-1.33-amd64.oci", "kernel_arguments": ["rd.iscsi.firmware=1"]}
    module_call.call("ocne_boot_image", made)
    write_nginx_image(tmp_path / "nginx")
    archiver = Archiver(tmp_path, tmp_path / "nginx")
    archiver(f"oci-archive:{SINGLE}")
    shutil.copyfile(archiver.dest, images / "ock-1.33-amd64-ostree.tar")
    write_layout(tmp_path / "ock", architectures=("amd64", "arm64"))
    repository = unpack(archiver.dest, tmp_path / "unpacked")
    with web_server.serve(repository.parent) as running:
        examples = documents.python_documents(ROOT / "plugins/modules/ocne_image_info.py")["EXAMPLES"]
        tasks = yaml.safe_load(examples.replace("http://ostree.example.com:8080", running.url))
        # The example without a source is the only one that would reach for Oracle's registry.
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/ocne.images.ocne": {"source": f"oci:{tmp_path}/ock:1.33"}},
            "tasks": [*tasks, {"name": "Keep", "ansible.builtin.copy": {"content": KEPT, "dest": f"{tmp_path}/kept.json", "mode": "0600"}}],
        }
        (tmp_path / "play.yml").write_text(json.dumps([play]))
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "--diff", str(tmp_path / "play.yml")]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert f"ok={len(tasks) + 1} " in done.stdout and "changed=1 " in done.stdout
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["boot_image"]["image"]["provider"] == "oci"
    assert kept["fstab"]["image"]["files"][0]["content"].startswith("UUID=")
    assert kept["served"]["archive"]["commit"] == kept["archive"]["archive"]["commit"] == COMMIT
