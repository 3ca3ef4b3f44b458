# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security tokens: JSON Web Tokens (RFC 7519, RS256) that carry the public key of a session in the claim `jwk`.

A client signs its requests with the session's private key and names itself by `ST$<token>`.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .messages import Principal
from .signatures import Refused

_TYPES = {"session": "login", "instance": "x509", "resource": "res", "workload": "workload"}


class TokenIssuer:
    """Issues tokens and knows its own again. The claim `ttype` says what kind of principal a token is for."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def issue(self, principal: Principal, public_key: rsa.RSAPublicKey, lifetime: float = 3600, **claims: Any) -> str:
        """:param lifetime: seconds; a negative one gives a token that has expired."""
        numbers = public_key.public_numbers()
        issued = int(time.time())
        payload = {
            "sub": principal.subject,
            "tenant": principal.tenancy,
            "ttype": _TYPES[principal.kind],
            "iss": "auth.local",
            "iat": issued,
            "exp": issued + int(lifetime),
            "jwk": json.dumps({"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}),
            **claims,
        }
        signed = _encode(json.dumps({"alg": "RS256", "typ": "JWT"}).encode()) + "." + _encode(json.dumps(payload).encode())
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encode(signature)}"

    def verify(self, token: str) -> tuple[rsa.RSAPublicKey, Principal]:
        """The session's key and its owner.

        :raises Refused: not a token of this issuer, or expired.
        """
        try:
            signed, _separator, signature = token.rpartition(".")
            self._key.public_key().verify(_decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            payload = json.loads(_decode(signed.partition(".")[2]))
        except (InvalidSignature, ValueError, binascii.Error) as error:
            raise Refused("the security token is not one of this service") from error
        if payload["exp"] <= time.time():
            raise Refused("the security token has expired")
        jwk = json.loads(payload["jwk"])
        n, e = (int.from_bytes(_decode(jwk[name]), "big") for name in ("n", "e"))
        kind = next(kind for kind, name in _TYPES.items() if name == payload["ttype"])
        return rsa.RSAPublicNumbers(e, n).public_key(), Principal(kind, payload["tenant"], payload["sub"])


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: int) -> str:
    return _encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
