# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that speaks to the local Oracle Cloud endpoint in raw HTTP and can sign badly: for tests of the endpoint without the SDK."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Optional
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.oci_endpoint import Endpoint

GENERIC = ("date", "(request-target)", "host")
BODY = ("content-length", "content-type", "x-content-sha256")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> tuple[int, str]:
        """Status and code of a service error."""
        document = self.json
        assert set(document) == {"code", "message"}
        return self.status, document["code"]


class Client:
    """:param key_id: by default the endpoint's API key, with its private key."""

    def __init__(self, endpoint: Endpoint, key_id: str = "", key: Optional[RSAPrivateKey] = None) -> None:
        self.address = urlsplit(endpoint.url).netloc
        self.key_id = key_id or endpoint.credentials.api_key.key_id
        loaded = key or serialization.load_pem_private_key(endpoint.credentials.api_key.key_file.read_bytes(), None)
        assert isinstance(loaded, RSAPrivateKey)
        self.key = loaded
        self.path = f"/n/{endpoint.settings.namespace}/b"

    def __call__(
        self,
        method: str,
        target: str,
        body: Any = b"",
        headers: Optional[dict[str, str]] = None,
        signed: Optional[Sequence[str]] = None,
        raw: bool = False,
    ) -> Answer:
        """Send a request.

        :param body: bytes, or a document to send as JSON.
        :param signed: names to sign, in this order; by default those that the service wants; () sends no signature.
        :param raw: a body that the signature leaves out, as in PutObject.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"host": self.address, "date": formatdate(usegmt=True)}
        names: tuple[str, ...] = GENERIC
        if method in ("POST", "PUT"):
            sent["content-length"] = str(len(content))
            sent["content-type"] = "application/octet-stream" if raw else "application/json"
            if not raw:
                sent["x-content-sha256"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
                names += BODY
        sent.update(headers or {})
        names = names if signed is None else tuple(signed)
        if names:
            sent["authorization"] = self.sign(method, target, sent, names)
        return self.send(method, target, sent, content)

    def sign(self, method: str, target: str, headers: dict[str, str], names: Sequence[str]) -> str:
        lines = [f"{name}: {method.lower() + ' ' + target if name == '(request-target)' else headers[name]}" for name in names]
        signature = base64.b64encode(self.key.sign("\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
        return f'Signature version="1",keyId="{self.key_id}",algorithm="rsa-sha256",headers="{" ".join(names)}",signature="{signature}"'

    def send(self, method: str, target: str, headers: dict[str, str], content: bytes = b"") -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(content)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def make_bucket(self, name: str, compartment: str) -> str:
        """The path of the new bucket."""
        answer = self("POST", self.path, {"name": name, "compartmentId": compartment})
        assert answer.status == 200, answer.content
        return f"{self.path}/{name}"

    def put(self, bucket: str, name: str, content: bytes) -> Answer:
        answer = self("PUT", f"{bucket}/o/{name}", content, raw=True)
        assert answer.status == 200, answer.content
        return answer
