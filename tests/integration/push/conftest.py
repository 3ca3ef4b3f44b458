# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import docker_daemon, registry
from tests.support.image_push import Image
from tests.support.registry import Registry


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A containers-storage of the test's own, and no account of the user's."""
    graph, state = tmp_path / "storage/graph", tmp_path / "storage/run"
    configuration = tmp_path / "storage.conf"
    configuration.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{graph}"\nrunroot = "{state}"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(configuration))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "no-auth.json"))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path / "image")


@pytest.fixture(scope="session")
def a_registry() -> Iterator[Registry]:
    with registry.serve() as running:
        yield running


@pytest.fixture(scope="session")
def secured() -> Iterator[Registry]:
    """A registry that wants an account, over TLS with an authority of its own."""
    with registry.serve(auth=True, tls=True) as running:
        yield running


@pytest.fixture(scope="session")
def a_docker_daemon() -> Iterator[str]:
    with docker_daemon.serve() as host:
        yield host
