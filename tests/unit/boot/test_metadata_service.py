# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in of the metadata services: what the real ones demand, it demands, too."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator

import pytest

from tests.support.boot import metadata
from tests.support.boot.metadata import Request
from tests.support.network import free_port


@pytest.fixture
def service() -> Iterator[tuple[int, list[Request]]]:
    port = free_port()
    with metadata.serve(b"for oracle", b"for openstack", ("127.0.0.1", port)) as requests:
        yield port, requests


def get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_oracle_gives_user_data_as_base64_to_who_shows_the_header(service: tuple[int, list[Request]]) -> None:
    port, requests = service
    assert get(port, metadata.ORACLE, Authorization=metadata.AUTHORIZATION) == (200, base64.b64encode(b"for oracle"))
    assert get(port, metadata.ORACLE) == (403, b"")
    assert get(port, metadata.ORACLE, Authorization="Bearer Other") == (403, b"")
    assert [(request.path, request.status) for request in requests] == [(metadata.ORACLE, status) for status in (200, 403, 403)]


def test_openstack_gives_it_as_it_is_and_nobody_gives_what_is_not_there(service: tuple[int, list[Request]]) -> None:
    port, _requests = service
    assert get(port, metadata.OPENSTACK) == (200, b"for openstack")
    assert get(port, "/openstack/latest/vendor_data") == (404, b"")
    assert get(port, "/opc/v2/instance/", Authorization=metadata.AUTHORIZATION) == (404, b"")
