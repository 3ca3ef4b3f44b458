# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The error of the build programs: one sentence for the user, one for what to do next."""

from __future__ import annotations


class BuildError(Exception):
    """A build cannot go on.

    :param message: what failed, on which thing, in which state it was last seen.
    :param hint: what the user can do next; empty when the message says it all.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class Unsupported(BuildError):
    """The input may be sound, but this engine does not wholly know it: another engine may take it."""
