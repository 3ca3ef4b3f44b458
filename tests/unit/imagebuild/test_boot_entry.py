# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild import boot_entry
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

OLD, NEW = "5067c1f1-0e28-5a36-a36f-5d1aece86fe4", "4448a36b-69ea-5022-bcf7-8bab92792531"
ENTRY = f"""title Oracle Linux
version 1
# options=not this one
options ignition.platform.id=qemu console=ttyS0,115200 root=UUID={OLD} ostree=/ostree/boot.1/ock/abc/0
linux /ostree/ock-abc/vmlinuz
"""


def changed(entry: str = ENTRY, platform: str = "oci", consoles: dict[str, str] | None = None, added: tuple[str, ...] = ()) -> str:
    return boot_entry.change(entry, platform, consoles or {}, {OLD: NEW}, added)


def test_only_the_arguments_change() -> None:
    expected = ENTRY.replace("qemu", "oci").replace(OLD, NEW)
    assert changed() == expected


def test_a_console_takes_the_provider_s_name_without_the_settings_of_a_line() -> None:
    assert "console=tty0 root" in changed(consoles={"ttyS0": "tty0"})


def test_a_console_is_not_named_twice() -> None:
    text = changed(ENTRY.replace("console=ttyS0,115200", "console=tty0 console=ttyS0"), consoles={"ttyS0": "tty0"})
    assert text.count("console=tty0") == 1


def test_arguments_are_appended_once_to_the_last_options_line() -> None:
    twice = ENTRY + "options quiet"
    text = changed(twice, added=("rd.iscsi.firmware=1", "quiet", "rd.iscsi.firmware=1"))
    assert text.endswith("options quiet rd.iscsi.firmware=1")
    assert changed(text, added=("rd.iscsi.firmware=1", "quiet")) == text


def test_uuids_are_replaced_whatever_their_case_and_only_whole() -> None:
    assert f"root=UUID={NEW}" in changed(ENTRY.replace(OLD, OLD.upper()))
    longer = f"x={OLD}0"
    assert longer in changed(ENTRY.replace("console=ttyS0,115200", longer))


def test_quoted_arguments_stay_whole() -> None:
    quoted = 'dyndbg="file a.c +p; file b.c +p"'
    assert quoted in boot_entry.arguments(ENTRY.replace("console=ttyS0,115200", quoted))


def test_the_last_of_several_values_counts_as_for_the_kernel() -> None:
    assert boot_entry.value("options root=a root=b", "root") == "b"
    assert boot_entry.value("options rootflags=x", "root") is None


@pytest.mark.parametrize("argument", ["", "two words", "a\nb", 'open="', "tab\there", "nul\0"])
def test_what_is_not_one_argument_is_refused(argument: str) -> None:
    with pytest.raises(BuildError, match="is not a kernel argument"):
        boot_entry.check_argument(argument)


@pytest.mark.parametrize("argument", ["quiet", "rd.iscsi.firmware=1", 'dyndbg="file a.c +p"'])
def test_what_is_one_argument_is_taken(argument: str) -> None:
    boot_entry.check_argument(argument)
