# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workload identity of a Kubernetes cluster: a service account's token is exchanged for a security token.

The SDK's `OkeWorkloadIdentityResourcePrincipalSigner` posts the public key of a fresh session, with the service account's token as
bearer, to https://$KUBERNETES_SERVICE_HOST:12250/resourcePrincipalSessionTokens; the answer is base64 of JSON.
"""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .messages import Principal, Request, Response, ServiceError, invalid
from .router import Route, Signing
from .signatures import Refused
from .tokens import TokenIssuer

PORT = 12250


class WorkloadIdentity:
    def __init__(self, tokens: TokenIssuer) -> None:
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [Route("POST", "/resourcePrincipalSessionTokens", self._exchange, Signing.NONE)]

    def _exchange(self, request: Request) -> Response:
        _scheme, _separator, token = (request.headers.get("authorization") or "").partition(" ")
        try:
            _user, account = self._tokens.verify(token)
        except Refused as refusal:
            raise ServiceError(401, "NotAuthenticated", f"The service account's token is not accepted: {refusal}") from refusal
        try:
            key = serialization.load_der_public_key(base64.b64decode(request.required(request.json(), "podKey")))
        except ValueError as error:
            raise invalid("podKey must be DER in base64") from error
        if not isinstance(key, rsa.RSAPublicKey):
            raise invalid("podKey must be an RSA key")
        principal = Principal("workload", account.tenancy, account.subject)
        answer = {"token": "ST$" + self._tokens.issue(principal, key)}
        return Response(200, {"content-type": "text/plain"}, base64.b64encode(json.dumps(answer).encode()))
