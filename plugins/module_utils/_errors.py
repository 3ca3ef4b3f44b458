# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The error that a module reports: what failed, on which thing, in which last state, and what to do next."""

from __future__ import annotations

from typing import Any


class OcneError(Exception):
    """A step cannot go on.

    :param message: what failed, on which thing, in which state it was last seen, with the request id where there is one.
    :param hint: what the user can do next.
    :param details: further facts for the module's result (JSON-able, no secret).
    """

    def __init__(self, message: str, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()
