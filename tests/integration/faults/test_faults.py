# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each fault once. The campaign by hand does it at many moments: python -m tests.integration.faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.faults import table
from tests.integration.faults.campaign import Campaign, inject_once
from tests.integration.faults.faults import FAULTS, Fault
from tests.integration.faults.steps import site

#: A step of each fault: one that is soon done with it.
STEPS = {
    "kill -9": "boot image",
    "Ctrl-C (SIGINT)": "import",
    "SIGTERM": "boot image",
    "SIGHUP": "ostree archive",
    "kill -9 at a system call": "push to a folder",
    "kill -9 of skopeo": "push to a layout",
    "power loss": "ostree archive",
    "disk full": "push to an archive",
    "429": "import",
    "500": "push to a registry",
    "garbage as an answer": "import",
    "no answer": "boot image",
    "damaged answer": "ostree archive",
    "answer cut short": "boot image",
    "answer longer than said": "push to a registry",
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with site(tmp_path_factory.mktemp("faults")) as place:
        yield Campaign(place)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_run_ends_well_or_with_a_message_and_the_next_succeeds(fault: Fault, campaign: Campaign) -> None:
    step = STEPS.get(fault.name, fault.steps[-1])
    assert step in fault.steps
    outcome = inject_once(campaign, fault, step, "the default run")
    assert not outcome.problems, f"{outcome.seed}: {outcome.problems}"


def test_the_page_has_a_row_for_each_fault_and_step() -> None:
    assert table.rows_of_page() == [(fault.name, step) for fault in FAULTS for step in fault.steps]
