# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot Loader Specification entries and kernel command lines.

https://uapi-group.org/specifications/specs/boot_loader_specification/ (type #1): lines of a key, white space, and a
value; 'options' can be there more than once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .disk.interface import Filesystem
from .errors import BuildError

PLATFORM = "ignition.platform.id"
#: Entries that one folder can have; an image has one for each deployment.
MOST_ENTRIES = 100

#: An argument: quotes may hold white space (kernel's lib/cmdline.c, next_arg).
_ARGUMENT = re.compile(r'(?:"[^"]*"|[^\s"])+')
_OPTIONS_LINE = re.compile(r"^(options[ \t]+)(.*)$", re.MULTILINE)


def arguments(entry: str) -> list[str]:
    """The kernel arguments of an entry, in order."""
    return [argument for line in _OPTIONS_LINE.finditer(entry) for argument in _ARGUMENT.findall(line.group(2))]


def names(filesystem: Filesystem, folder: str) -> list[str]:
    """Names of the files in a folder that are boot entries.

    :raises BuildError: there are more than any image has.
    """
    found = [entry.name for entry in filesystem.list(folder) if entry.name.endswith(".conf")]
    if len(found) > MOST_ENTRIES:
        raise BuildError(
            f"{folder} on partition {filesystem.partition.label} has {len(found)} boot entries: no image has.", "Take an OCK boot image."
        )
    return found


def fields(entry: str) -> dict[str, str]:
    """The entry's keys and values; a key's last value counts, 'options' is none of them."""
    lines = (line.strip().partition(" ") for line in entry.replace("\t", " ").split("\n") if not line.lstrip().startswith("#"))
    return {key: text.strip() for key, _space, text in lines if key and key != "options"}


def value(entry: str, name: str) -> str | None:
    """The value of the last argument of that name, as the kernel takes it; None where there is none."""
    values = [argument.partition("=")[2] for argument in arguments(entry) if argument.startswith(f"{name}=")]
    return values[-1] if values else None


def check_argument(argument: str) -> None:
    """:raises BuildError: the text is not exactly one kernel argument."""
    if not _ARGUMENT.fullmatch(argument) or not argument.isprintable():
        raise BuildError(f"{argument!r} is not a kernel argument.", "Give each one as an item of its own, white space in double quotes.")


def change(entry: str, platform: str, consoles: Mapping[str, str], uuids: Mapping[str, str], added: Iterable[str]) -> str:
    """The entry for another platform. All but its options lines stays as it is.

    :param platform: the new value of ignition.platform.id.
    :param consoles: names of consoles, old → new; a console that would be named twice is named once.
    :param uuids: UUIDs of filesystems, old (lower case) → new, wherever an argument names one.
    :param added: arguments that are appended, unless they are there.
    """
    present: set[str] = set()  # an entry can have thousands of arguments

    def line(match: re.Match[str]) -> str:
        changed = (_argument(argument, platform, consoles, uuids) for argument in _ARGUMENT.findall(match.group(2)))
        kept = []
        for argument in changed:
            if argument.startswith("console=") and argument in present:
                continue
            present.add(argument)
            kept.append(argument)
        return match.group(1) + " ".join(kept)

    text = _OPTIONS_LINE.sub(line, entry)
    missing = [argument for argument in dict.fromkeys(added) if argument not in present]
    if not missing:
        return text
    last = list(_OPTIONS_LINE.finditer(text))[-1]
    return f"{text[: last.end()]} {' '.join(missing)}{text[last.end() :]}"


def replace_uuids(text: str, uuids: Mapping[str, str]) -> str:
    """The text with each of the UUIDs replaced, whatever the case of its letters."""
    for old, new in uuids.items():
        text = re.sub(rf"(?<![0-9a-fA-F-]){re.escape(old)}(?![0-9a-fA-F-])", new, text, flags=re.IGNORECASE)
    return text


def _argument(argument: str, platform: str, consoles: Mapping[str, str], uuids: Mapping[str, str]) -> str:
    name, equals, text = argument.partition("=")
    if name == PLATFORM:
        return f"{PLATFORM}={platform}"
    device = text.partition(",")[0]
    if name == "console" and device in consoles:
        # A serial line's settings (speed, parity) mean nothing to a virtual terminal.
        return f"console={consoles[device]}"
    return name + equals + replace_uuids(text, uuids) if equals else argument
