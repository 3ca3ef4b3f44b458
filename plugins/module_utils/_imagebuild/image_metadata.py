# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Indexes, manifests and configurations of container images as JSON: what their readers may take for granted.

https://github.com/opencontainers/image-spec, descriptor.md, image-index.md, manifest.md, config.md. Go's readers take null for what
is left out, so it is taken here, too.
"""

from __future__ import annotations

import json
import re
from typing import Any

_OBJECTS = ("annotations", "config", "rootfs", "platform", "Labels", "ExposedPorts")
_LISTS = ("manifests", "layers", "diff_ids", "history")
_SIZE_LIMIT = 1 << 63
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def load_metadata(data: bytes) -> dict[str, Any]:
    """The JSON object.

    :raises ValueError: it is none, or an object, a list or a number in it is something else.
    """
    try:
        value = json.loads(data)
        # A half of a surrogate pair is no text: nothing could print it, or send it on.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has a string that is no text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    _check(value, "")
    for key in ("config", "rootfs"):
        _check(value.get(key) or {}, f"{key}.")
    for key in ("manifests", "layers"):
        for item in value.get(key) or []:
            if isinstance(item, dict):
                _check(item, f"{key}: ")
    return value


def is_digest(text: object) -> bool:
    """Whether it is a digest, which can be a part of a path."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _check(value: dict[str, Any], where: str) -> None:
    for kind, name, keys in ((dict, "object", _OBJECTS), (list, "list", _LISTS)):
        for key in keys:
            if value.get(key) is not None and not isinstance(value[key], kind):
                raise ValueError(f"{where}{key} is no {name}")
    size = value.get("size")
    if isinstance(size, int) and size >= _SIZE_LIMIT:
        raise ValueError(f"{where}size has more than 63 bits")
