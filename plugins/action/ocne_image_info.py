# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far ocne_image_info is."""

from __future__ import annotations

from ansible_collections.ocne.images.plugins.plugin_utils._progress.action import ProgressAction


class ActionModule(ProgressAction):
    what = "info"
    told_apart_by = ("source",)
