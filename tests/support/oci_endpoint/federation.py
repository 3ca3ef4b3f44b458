# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an instance gets its identity: the metadata service, and the exchange of its certificate for a security token.

Instance principals (SDK `InstancePrincipalsSecurityTokenSigner`) read certificate and key from `OCI_METADATA_BASE_URL`, and post the
certificate and the public key of a fresh session, signed with the certificate's key, to `/v1/x509` of the federation endpoint.
"""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .certificates import Authority, certificate_pem
from .context import Context
from .credentials import new_key, pem
from .messages import Principal, Request, Response, ServiceError, invalid
from .router import Route, Signing
from .signatures import Refused
from .tokens import TokenIssuer


class Federation:
    def __init__(self, context: Context, tokens: TokenIssuer, authority: Authority) -> None:
        self._context = context
        self._tokens = tokens
        self.instance = context.ocid("instance")
        self._key = new_key()
        units = ["opc-certtype:instance", f"opc-instance:{self.instance}", f"opc-tenant:{context.tenancy}"]
        self._leaf = authority.issue("instance", units, self._key)
        self._files = {
            "cert.pem": certificate_pem(self._leaf),
            "key.pem": pem(self._key),
            "intermediate.pem": certificate_pem(authority.certificate),
        }

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/opc/v2/instance/region", self._get_region, Signing.NONE),
            Route("GET", "/opc/v2/instance/regionInfo", self._get_region_info, Signing.NONE),
            Route("GET", "/opc/v2/identity/{file}", self._get_identity, Signing.NONE),
            Route("POST", "/v1/x509", self._exchange, Signing.FEDERATION),
        ]

    def key_of(self, key_id: str) -> tuple[rsa.RSAPublicKey, Principal]:
        """:raises Refused: not `<tenancy>/fed-x509/<SHA-1 fingerprint>` (or fed-x509-sha256) of the instance's certificate."""
        for kind, algorithm in (("fed-x509", hashes.SHA1()), ("fed-x509-sha256", hashes.SHA256())):
            fingerprint = ":".join(f"{byte:02X}" for byte in self._leaf.fingerprint(algorithm))
            if key_id == f"{self._context.tenancy}/{kind}/{fingerprint}":
                return self._key.public_key(), Principal("instance", self._context.tenancy, self.instance)
        raise Refused(f"the key id {key_id} is not that of the instance")

    def _get_region(self, request: Request) -> Response:
        _check_metadata_header(request)
        return Response(200, {"content-type": "text/plain"}, self._context.settings.region.encode())

    def _get_region_info(self, request: Request) -> Response:
        _check_metadata_header(request)
        settings = self._context.settings
        document = {"realmKey": "oc1", "realmDomainComponent": "oraclecloud.com", "regionKey": settings.region_key}
        return Response.of_json({**document, "regionIdentifier": settings.region})

    def _get_identity(self, request: Request) -> Response:
        _check_metadata_header(request)
        content = self._files.get(request.params["file"])
        if content is None:
            raise ServiceError(404, "NotFound", "Not Found")
        return Response(200, {"content-type": "application/x-pem-file"}, content)

    def _exchange(self, request: Request) -> Response:
        details = request.json()
        try:
            certificate = x509.load_der_x509_certificate(base64.b64decode(request.required(details, "certificate")))
            session_key = serialization.load_der_public_key(base64.b64decode(request.required(details, "publicKey")))
        except ValueError as error:
            raise invalid("certificate and publicKey must be DER in base64") from error
        if certificate != self._leaf or not isinstance(session_key, rsa.RSAPublicKey):
            raise ServiceError(401, "NotAuthenticated", "The certificate is not one of an instance of this tenancy.")
        principal = Principal("instance", self._context.tenancy, self.instance)
        return Response.of_json({"token": self._tokens.issue(principal, session_key)})


def _check_metadata_header(request: Request) -> None:
    """Version 2 of the metadata service wants this header, so that no forwarded request gets through."""
    if request.headers.get("authorization") != "Bearer Oracle":
        raise ServiceError(403, "NotAuthorized", "The header Authorization: Bearer Oracle is missing.")
