# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages of a list: `limit`, `page` and the header opc-next-page (API reference, "List Pagination")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Optional

from .messages import Request, Response, invalid

MAX_LIMIT = 1000


def limit_of(request: Request, default: int) -> int:
    text = request.arg("limit")
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= MAX_LIMIT:
        raise invalid(f"limit must be from 1 to {MAX_LIMIT}, not {text!r}")
    return int(text)


def page(request: Request, items: Sequence[Any], default_limit: int) -> Response:
    """One page of JSON documents; opc-next-page is there exactly when more follow."""
    limit = limit_of(request, default_limit)
    start = _position(request.arg("page"))
    answer = Response.of_json(list(items[start : start + limit]))
    if start + limit < len(items):
        answer.headers["opc-next-page"] = base64.urlsafe_b64encode(f"from:{start + limit}".encode()).decode()
    return answer


def _position(token: Optional[str]) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("the page token is not one of this service") from error
    prefix, _separator, number = text.partition(":")
    if prefix != "from" or not number.isdigit():
        raise invalid("the page token is not one of this service")
    return int(number)


def sort(request: Request, items: list[dict[str, Any]], name_key: str, default: str = "TIMECREATED") -> list[dict[str, Any]]:
    """`sortBy` (TIMECREATED, newest first by default, or DISPLAYNAME/NAME, ascending by default) and `sortOrder`."""
    by = (request.arg("sortBy") or default).upper()
    if by not in ("TIMECREATED", "DISPLAYNAME", "NAME"):
        raise invalid(f"sortBy {by!r} is not known")
    order = (request.arg("sortOrder") or ("DESC" if by == "TIMECREATED" else "ASC")).upper()
    if order not in ("ASC", "DESC"):
        raise invalid(f"sortOrder {order!r} is not known")
    key = "timeCreated" if by == "TIMECREATED" else name_key
    return sorted(items, key=lambda item: str(item[key]), reverse=order == "DESC")
