# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError


def test_the_hint_follows_the_message() -> None:
    error = BuildError("disk x: no partition is labelled 'boot'.", "Take an OCK image.")
    assert str(error) == "disk x: no partition is labelled 'boot'. Take an OCK image."
    assert str(BuildError("broken")) == "broken"
