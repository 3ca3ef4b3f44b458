# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small text files of a disk: boot entries, tables of filesystems, facts of an operating system."""

from __future__ import annotations

from .interface import Filesystem

#: Bytes of a file that people write; real ones have some hundred.
TEXT_LIMIT = 64 << 10


def read_text(filesystem: Filesystem, path: str, limit: int = TEXT_LIMIT, errors: str = "surrogateescape") -> str:
    """Its content; '' where there is no file, a directory, or a symlink that leads nowhere.

    :param errors: what becomes of bytes that are no UTF-8, as of bytes.decode().
    :raises BuildError: it is longer than limit bytes, or no regular file.
    """
    try:
        return filesystem.read(path, limit).decode("utf-8", errors)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
