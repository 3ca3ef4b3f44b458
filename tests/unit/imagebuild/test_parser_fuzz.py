# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small, fixed part of the parsers' proof. More of it, by hand: python -m tests.integration.disk parsers --help."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.parser_fuzz import FAMILIES, trials

#: A trial of these makes a whole image.
_COSTLY = {"container": 20}


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_input_ends_in_a_result_or_a_refusal(family: str, tmp_path: Path) -> None:
    results = trials(family, 0, _COSTLY.get(family, 300), tmp_path)
    assert not [result for result in results if result.startswith("STRAY")]
    assert results["taken"] and (results["refused"] or family in ("bls", "fstab"))
    assert list(tmp_path.iterdir()) == []
