# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that arrive as others are noticed: the answers of a service that no honest server gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._oci.objects import Place

MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="


class _Service:
    """:param headers: of every answer."""

    def __init__(self, **headers: str) -> None:
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.calls: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            self.calls[name] = options
            return SimpleNamespace(headers=self._headers, data=None)

        return call


def _place(service: _Service) -> Place:
    return Place(SimpleNamespace(object_storage=service), "namespace", "bucket", "object")  # type: ignore[arg-type]


def test_part_is_sent_with_its_md5() -> None:
    service = _Service(etag="e1", opc_content_md5=MD5)
    assert _place(service).put_part("upload", 1, b"", MD5) == "e1"
    assert service.calls["upload_part"]["content_md5"] == MD5


def test_part_that_arrived_damaged_is_an_error() -> None:
    with pytest.raises(OcneError, match="Part 3 of object object in bucket bucket arrived damaged: its MD5 is other=="):
        _place(_Service(etag="e1", opc_content_md5="other==")).put_part("upload", 3, b"", MD5)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"opc_multipart_md5": "other==-1", "content_length": "5"}, "5 bytes with MD5 other==-1, not 5 with mine==-1"),
        ({"opc_multipart_md5": "mine==-1", "content_length": "4"}, "4 bytes with MD5 mine==-1, not 5 with mine==-1"),
        ({"content_length": "4"}, "4 bytes with MD5 mine==-1, not 5 with mine==-1"),
    ],
)
def test_object_that_is_not_what_was_sent_is_an_error(headers: dict[str, str], told: str) -> None:
    place = _place(_Service(etag="e1", **headers))
    with pytest.raises(OcneError, match=f"The object object in bucket bucket is not what was uploaded: {told}"):
        place.commit("upload", [(1, "e1")], "mine==-1", 5, None)


def test_service_that_does_not_tell_the_md5_is_believed_by_size_as_its_parts_were_verified() -> None:
    assert _place(_Service(etag="e1", content_length="5")).commit("upload", [(1, "e1")], "mine==-1", 5, None).size == 5


def test_commit_never_overwrites_what_it_has_not_seen() -> None:
    service = _Service(etag="e2", opc_multipart_md5="mine==-1", content_length="5")
    place = _place(service)
    stored = place.commit("upload", [(1, "e1")], "mine==-1", 5, None)
    assert service.calls["commit_multipart_upload"] == {"if_none_match": "*"}
    place.commit("upload", [(1, "e1")], "mine==-1", 5, stored)
    assert service.calls["commit_multipart_upload"] == {"if_match": "e2"}


def test_object_is_only_removed_as_it_was_seen() -> None:
    service = _Service()
    assert _place(service).delete("e1")
    assert service.calls["delete_object"] == {"if_match": "e1"}


def test_ours_are_told_by_their_metadata() -> None:
    assert not _place(_Service(etag="e1")).head().is_ours  # type: ignore[union-attr]
    ours = _place(_Service(**{"etag": "e1", "OPC-Meta-ocne-content-digest": "sha256:1"})).head()
    assert ours is not None and ours.is_ours
    assert ours.holds({"ocne-content-digest": "sha256:1"})
    assert not ours.holds({"ocne-content-digest": "sha256:1", "ocne-metadata-digest": "sha256:2"})


def test_who_names_no_etag_is_not_the_service() -> None:
    place = _place(_Service(content_length="5"))
    for call in (place.head, lambda: place.put_part("upload", 1, b"part", "mine==")):
        with pytest.raises(OcneError, match="no answer from the service \\(what answered is not the service"):
            call()
