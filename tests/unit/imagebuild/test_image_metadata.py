# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.manifest import instance, parse
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import Reference
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.image_metadata import load_metadata

DIGEST = "sha256:" + "0a" * 32
REFERENCE = Reference("docker", "//example.com/ock:1.33")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"manifests": None, "annotations": None, "config": None},
        {"manifests": [{"digest": DIGEST, "size": 1, "platform": {"os": "linux"}}]},
        {"config": {"Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}}, "rootfs": {"diff_ids": [DIGEST]}},
    ],
)
def test_sound_metadata_is_read(value: dict[str, Any]) -> None:
    assert load_metadata(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Expecting value"),
        (b"\xff", "can't decode|Expecting value"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"size": ' + b"9" * 4301 + b"}", "4300|63 bits"),
        (b'{"layers": [{"size": 9223372036854775808}]}', "layers: size has more than 63 bits"),
        (b'{"manifests": 5}', "manifests is no list"),
        (b'{"manifests": "x"}', "manifests is no list"),
        (b'{"manifests": [{"platform": [1]}]}', "manifests: platform is no object"),
        (b'{"manifests": [{"annotations": "x"}]}', "manifests: annotations is no object"),
        (b'{"layers": {"a": 1}}', "layers is no list"),
        (b'{"layers": [{"annotations": ["x"]}]}', "layers: annotations is no object"),
        (b'{"config": []}', None),
        (b'{"config": [1]}', "config is no object"),
        (b'{"config": {"Labels": [1]}}', "config.Labels is no object"),
        (b'{"config": {"ExposedPorts": ["80"]}}', "config.ExposedPorts is no object"),
        (b'{"rootfs": "x"}', "rootfs is no object"),
        (b'{"rootfs": {"diff_ids": "x"}}', "rootfs.diff_ids is no list"),
        (b'{"history": {}}', None),
        (b'{"config": {"Labels": {"a": "\\ud800"}}}', "no text"),
    ],
)
def test_malformed_metadata_is_refused(data: bytes, said: str | None) -> None:
    with pytest.raises(ValueError, match=said or "is no"):
        load_metadata(data)
    with pytest.raises(OcneError, match=r"docker://example\.com/ock:1\.33: what is there is no image's metadata") as caught:
        parse(data, REFERENCE)
    assert "Check the reference" in str(caught.value)


@pytest.mark.parametrize(
    "digest",
    [None, 5, "", "sha256:", "sha256:../../../victim", "../victim", "/etc", DIGEST[:-1], DIGEST + "\n", DIGEST.upper(), "md5:" + "0" * 32],
)
def test_index_cannot_name_a_place_instead_of_a_digest(digest: object) -> None:
    index = {"manifests": [{"digest": digest, "platform": {"architecture": "amd64", "os": "linux"}}]}
    with pytest.raises(OcneError, match=r"names its image for amd64 by '.*', which is no digest\. The image is broken"):
        instance(index, REFERENCE, "amd64")
