# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role ostree_server where podman has quadlets: its generator makes the unit, systemd runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.support.ostree_server import Server
from tests.support.systemd_host import LIMITS, WITH_QUADLETS, systemd_host

REF = "ostree/refs/heads/ock"
QUADLET = "/etc/containers/systemd/ock-ostree.container"
UNIT = "/run/systemd/generator/ock-ostree.service"
OTHER_UNIT = "/etc/systemd/system/ock-ostree.service"
#: A character of each kind that a quadlet, systemd or a shell could take for its own.
LABEL = 'a $HOME 100%n "quoted" \\back'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with systemd_host(WITH_QUADLETS) as host:
        yield Server(host)


@pytest.fixture(scope="module")
def first(server: Server) -> str:
    """The commit that is served first."""
    archive, commit = server.archive(1, server.base)
    server.host("sh", "-c", f"echo '[Service]\nExecStart=/bin/true' >{OTHER_UNIT}")  # as an older podman would have had it
    server.serve(archive)
    return commit


def test_service_is_what_the_generator_makes_of_the_quadlet(server: Server, first: str) -> None:
    assert server.get(REF) == f"{first}\n"
    shown = server.host("systemctl", "show", "--property=FragmentPath,SourcePath,ActiveState,NRestarts", "ock-ostree.service")
    assert set(shown.splitlines()) == {f"FragmentPath={UNIT}", f"SourcePath={QUADLET}", "ActiveState=active", "NRestarts=0"}
    assert server.host("systemctl", "is-enabled", "ock-ostree.service").strip() == "generated"
    assert "ock-ostree.service" in server.host("systemctl", "list-dependencies", "--plain", "multi-user.target")
    server.host("systemd-analyze", "verify", UNIT)
    server.host("podman", "healthcheck", "run", "ock-ostree")


def test_second_run_changes_nothing(server: Server, first: str) -> None:
    archive, _commit = server.archive(1, server.base)
    for options in (["--check"], []):
        assert " changed=0 " in server.serve(archive, *options)


def test_server_that_dies_comes_back(server: Server, first: str) -> None:
    before = server.started()
    server.host("podman", "kill", "ock-ostree")
    wait = f'until now=$(podman inspect --format="{{{{.State.StartedAt}}}}" ock-ostree) && [ "$now" != "{before}" ]; do sleep 0.2; done'
    server.host("timeout", "60", "sh", "-c", wait)
    server.host("sh", "-c", "timeout 30 sh -c 'until podman healthcheck run ock-ostree; do sleep 0.2; done'")
    assert server.get(REF) == f"{first}\n"


def test_upgrade_is_served_without_a_restart(server: Server, first: str) -> None:
    archive, commit = server.archive(2, server.base)
    began = server.started()
    server.serve(archive, "--check")
    assert server.get(REF) == f"{first}\n"
    server.serve(archive)
    assert server.get(REF) == f"{commit}\n" != f"{first}\n"
    assert hashlib.sha256(server.fetch(f"ostree/objects/{first[:2]}/{first[2:]}.commit")).hexdigest() == first
    assert server.started() == began


def test_changed_quadlet_is_generated_and_started_anew(server: Server, first: str) -> None:
    """Arguments reach the container as they were given."""
    archive, commit = server.archive(2, server.base)
    before = server.started()
    server.serve(archive, ocne_images_server_podman_arguments=[*LIMITS, f"--label=ocne.test={LABEL}"])
    assert server.started() != before
    assert server.host("podman", "inspect", '--format={{index .Config.Labels "ocne.test"}}', "ock-ostree") == f"{LABEL}\n"
    assert server.get(REF) == f"{commit}\n"
