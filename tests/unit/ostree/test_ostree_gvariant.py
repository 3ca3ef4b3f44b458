# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import gvariant
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.gvariant import Variant, decode, encode

DIRTREE = "(a(say)a(sayay))"

# Bytes as GLib writes them (g_variant_get_data), or as ostree stores them.
KNOWN: list[tuple[str, Any, bytes]] = [
    ("a(ayay)", [], b""),
    (DIRTREE, ([], []), b"\0"),
    ("(uu)", (1, 2), b"\0\0\0\x01\0\0\0\x02"),
    ("s", "ock", b"ock\0"),
    ("v", Variant("s", b"1.33\0"), b"1.33\0\0s"),
    ("(su)", ("ab", 7), b"ab\0\0\0\0\0\x07\x03"),
    ("(us)", (7, "ab"), b"\0\0\0\x07ab\0"),
    ("(yu)", (1, 2), b"\x01\0\0\0\0\0\0\x02"),
    ("as", ["i", "can"], b"i\0can\0\x02\x06"),
    ("(tay)", (3, b"xy"), b"\0\0\0\0\0\0\0\x03xy"),
]


@pytest.mark.parametrize(("signature", "value", "data"), KNOWN)
def test_known_values_are_encoded_and_decoded(signature: str, value: Any, data: bytes) -> None:
    assert encode(signature, value) == data
    assert decode(signature, data) == value


@pytest.mark.parametrize("length", [1, 200, 255, 256, 65530, 65536, 70000])
def test_framing_offsets_grow_with_the_container(length: int) -> None:
    value = [("a", b"x" * length), ("b", b"y")]
    assert decode("a(say)", encode("a(say)", value)) == value


def test_a_dictionary_keeps_its_values_undecoded() -> None:
    value = [("version", Variant("s", b"1.33\0")), ("n", Variant("u", b"\0\0\0\x01"))]
    assert decode("a{sv}", encode("a{sv}", value)) == value


@pytest.mark.parametrize(
    ("signature", "data"),
    [
        ("s", b"no end"),
        ("s", b"two\0ends\0"),
        ("s", b""),
        ("s", b"\xff\0"),
        ("b", b"\x02"),
        ("u", b"\0\0"),
        ("au", b"\0" * 6),
        ("v", b"without"),
        ("as", b"\xff"),
        ("as", b"i\0can\0\x06\x02"),
        ("as", b"i\0can\0\x02\x09"),
        ("(uu)", b"\0" * 7),
        ("(su)", b"ab\0\0\0\0\0\x07\xff"),
        ("(su)", b""),
        ("(sas)", b"a\0\0\0\x02"),
        (DIRTREE, b"\x05"),
    ],
)
def test_what_is_not_in_normal_form_is_refused(signature: str, data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(signature, data)


def test_the_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gvariant, "_ELEMENT_LIMIT", 2)
    assert decode("as", encode("as", ["a", "b"])) == ["a", "b"]
    with pytest.raises(ValueError, match="more than 2 elements"):
        decode("as", encode("as", ["a", "b", "c"]))


def test_no_bytes_make_it_fail_otherwise() -> None:
    chance = random.Random(5)
    sound = encode(DIRTREE, ([("name", b"c" * 32), ("other", b"d" * 32)], [("sub", b"e" * 32, b"f" * 32)]))
    for _attempt in range(3000):
        data = bytearray(sound)
        for _change in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decode(DIRTREE, bytes(data[: chance.randint(0, len(data))]))
        except ValueError:
            continue
