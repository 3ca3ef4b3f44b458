# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in of AWX: its REST API, as far as the collection awx.awx needs it to load objects, and its way to run a job of them.

What AWX refuses is refused here, too (rules.py). What it does with credentials, its own package does here: awx_plugins.interfaces. Jobs
run in ansible-runner, as there, but without a container.
"""

from __future__ import annotations

from .api import Awx
from .jobs import Job, Launcher

__all__ = ["Awx", "Job", "Launcher"]
