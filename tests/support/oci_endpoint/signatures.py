# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of request signatures: draft-cavage-http-signatures-08 as OCI uses it, version "1", algorithm rsa-sha256.

Source: API reference, "Request Signatures". Every refusal is 401 NotAuthenticated with the same message; the request log has the reason.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import re
from email.utils import parsedate_to_datetime
from typing import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .context import Settings, now
from .messages import Principal, Request, ServiceError
from .router import Signing

_FIELD = re.compile(r'(\w+)="([^"]*)"')
_BODY_HEADERS = ("content-length", "content-type", "x-content-sha256")

KeyLookup = Callable[[str, Signing], tuple[RSAPublicKey, "Principal"]]


class Refused(Exception):
    """Why a signature is not accepted."""


def authenticate(request: Request, signing: Signing, keys: KeyLookup, settings: Settings) -> Principal:
    """Who signed the request.

    `request.content` must hold the body already where the signing covers it.

    :param keys: the public key and the principal of a key id; raises Refused.
    :raises ServiceError: 401 NotAuthenticated.
    """
    try:
        return _verify(request, signing, keys, settings)
    except Refused as refusal:
        request.note = f"signature refused: {refusal}"
        message = "The required information to complete authentication was not provided or was incorrect."
        raise ServiceError(401, "NotAuthenticated", message) from refusal


def signing_string(request: Request, names: list[str]) -> bytes:
    """The lines that are signed, in the order of the names."""
    lines = []
    for name in names:
        if name == "(request-target)":
            lines.append(f"{name}: {request.method.lower()} {request.target}")
        else:
            values = request.headers.get_all(name)
            if not values:
                raise Refused(f"the signed header {name} is not in the request")
            lines.append(f"{name}: {', '.join(value.strip() for value in values)}")
    return "\n".join(lines).encode()


def _verify(request: Request, signing: Signing, keys: KeyLookup, settings: Settings) -> Principal:
    scheme, _separator, rest = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "signature":
        raise Refused("no Authorization header of scheme Signature")
    fields = dict(_FIELD.findall(rest))
    for name in ("keyId", "algorithm", "headers", "signature"):
        if not fields.get(name):
            raise Refused(f"the Authorization header has no {name}")
    if fields.get("version", "1") != "1":
        raise Refused("the signature's version is not 1")
    if fields["algorithm"].lower() != "rsa-sha256":
        raise Refused(f"the algorithm is {fields['algorithm']}, not rsa-sha256")
    names = fields["headers"].lower().split(" ")
    _require_headers(request, signing, names)
    key, principal = keys(fields["keyId"], signing)
    try:
        signature = base64.b64decode(fields["signature"], validate=True)
        key.verify(signature, signing_string(request, names), padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, InvalidSignature) as error:
        raise Refused("the signature does not match") from error
    # the date is only trusted, and complained about, once it is known to be the signer's
    _check_date(request, names, settings)
    if signing is not Signing.HEADERS and request.method in ("POST", "PUT", "PATCH"):
        _check_body(request)
    return principal


def _require_headers(request: Request, signing: Signing, names: list[str]) -> None:
    required = ["(request-target)"]
    if signing is not Signing.FEDERATION:
        required.append("host")
    if signing is not Signing.HEADERS and request.method in ("POST", "PUT", "PATCH"):
        required.extend(_BODY_HEADERS)
    missing = [name for name in required if name not in names]
    if "date" not in names and "x-date" not in names:
        missing.append("date")
    if missing:
        raise Refused(f"not signed: {', '.join(missing)}")


def _check_date(request: Request, names: list[str], settings: Settings) -> None:
    text = request.headers.get("x-date" if "x-date" in names else "date") or ""
    try:
        sent = parsedate_to_datetime(text)
    except (TypeError, ValueError) as error:
        raise Refused(f"the date {text!r} cannot be parsed") from error
    if sent.tzinfo is None:
        sent = sent.replace(tzinfo=datetime.timezone.utc)
    here = now() + datetime.timedelta(seconds=settings.clock_ahead)
    allowed = datetime.timedelta(seconds=settings.clock_skew)
    if abs(here - sent) <= allowed:
        return
    request.note = "signature refused: clock skew"
    shown = [moment.strftime("%a, %d %b %Y %H:%M:%S UTC") for moment in (sent, here, here - allowed, here + allowed)]
    message = "Date '{}' is not within allowed clock skew. Current '{}', valid datetime range: ['{}', '{}']".format(*shown)
    raise ServiceError(401, "NotAuthenticated", message)


def _check_body(request: Request) -> None:
    expected = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
    if request.headers.get("x-content-sha256") != expected:
        raise Refused("x-content-sha256 is not the SHA-256 of the body")
