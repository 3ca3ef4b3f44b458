# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One endpoint for the tests of a file, and a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.oci_endpoint import Endpoint, Settings
from tests.support.oci_http import Client


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(settings=Settings(min_part_size=100, page_size=3)) as running:
        yield running


@pytest.fixture(autouse=True)
def _usual_settings(endpoint: Endpoint) -> Iterator[None]:
    before = vars(endpoint.settings).copy()
    yield
    vars(endpoint.settings).update(before)
    endpoint.faults.clear()


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Client:
    return Client(endpoint)


@pytest.fixture(scope="module")
def compartment(endpoint: Endpoint) -> str:
    return endpoint.add_compartment("team/images")


@pytest.fixture
def bucket(client: Client, compartment: str, request: pytest.FixtureRequest) -> str:
    """Its path."""
    name = "".join(mark if mark.isalnum() else "-" for mark in request.node.name)
    return client.make_bucket(name, compartment)
