# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All services together on one port."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from . import admin
from .buckets import Buckets, Upload
from .capability_schemas import CapabilitySchemas
from .certificates import Authority, certificate_pem
from .context import Context, Settings, new_ocid
from .credentials import Credentials
from .faults import Faults, ImportOutcome
from .federation import Federation
from .identity import Identity
from .images import Images
from .imports import Importer
from .messages import Principal
from .multipart import MultipartUploads
from .objects import Objects
from .preauthenticated import PreauthenticatedRequests
from .request_log import Entry, RequestLog
from .router import Router, Signing
from .server import Server
from .shapes import Shapes
from .work_requests import WorkRequests
from .workload_identity import PORT, WorkloadIdentity


class Endpoint:
    """A stand-in of Oracle Cloud on loopback: `with Endpoint() as endpoint: ...`.

    Clients get `endpoint.url` as service endpoint of every service and `endpoint.config_file` as configuration file. State lives as
    long as the object; bytes lie in `folder`, a temporary one by default, which `stop` then removes. With `tls`, the URL is https, and
    `ca_file` is what clients have to trust.
    """

    def __init__(
        self,
        folder: Optional[Path] = None,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Optional[Settings] = None,
        tls: bool = False,
    ) -> None:
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="oci-endpoint-")) if folder is None else folder
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = settings or Settings()
        self.tenancy = new_ocid("tenancy")
        context = Context(self.settings, self.folder, self.tenancy)
        self._context = context
        for name in ("objects", "images"):  # bytes of an earlier endpoint: nothing knows them any more
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.credentials = Credentials(self.folder, self.tenancy, self.settings.region)
        self.faults = Faults()
        self.log = RequestLog(self.folder / "requests.jsonl")
        self.identity = Identity(context)
        self.buckets = Buckets(context, self.identity)
        objects = Objects(context, self.buckets)
        access = PreauthenticatedRequests(context, self.buckets, objects, lambda: self.url)
        self.work_requests = WorkRequests(context, self.identity)
        self.importer = Importer(context, self.buckets, access, self.work_requests)
        self.images = Images(context, self.identity, self.importer)
        self.shapes = Shapes(context, self.identity, self.images)
        self.capability_schemas = CapabilitySchemas(context, self.identity, self.images)
        authority = Authority("ocne.images test authority")
        self.federation = Federation(context, self.credentials.tokens, authority)
        services = (
            self.identity,
            self.buckets,
            objects,
            MultipartUploads(context, self.buckets, objects),
            access,
            self.images,
            self.shapes,
            self.capability_schemas,
            self.work_requests,
            self.federation,
            WorkloadIdentity(self.credentials.tokens),
        )
        router = Router([*(route for service in services for route in service.routes()), *admin.routes(self)])
        self.ca_file = self.folder / "ca.pem"
        self.ca_file.write_bytes(certificate_pem(authority.certificate))

        def listen(host: str, port: int, tls: bool) -> Server:
            context_of_tls = authority.server_context(self.folder, host) if tls else None
            return Server((host, port), context, router, self._key_of, self.faults, self.log, context_of_tls)

        self._listen = listen
        self._servers = [listen(host, port, tls)]

    @property
    def url(self) -> str:
        server = self._servers[0]
        host, port = server.server_address[:2]
        return f"{'https' if server.tls else 'http'}://{host!s}:{port}"

    @property
    def config_file(self) -> Path:
        return self.credentials.config_file

    def start(self) -> Endpoint:
        self._servers[0].run()
        return self

    def stop(self) -> None:
        self._context.stopping.set()
        for server in self._servers:
            server.stop()
        for thread in self.importer.threads:
            thread.join(timeout=30)
        self.log.close()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Endpoint:
        return self.start()

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.stop()

    def describe(self) -> dict[str, Any]:
        """What a client in another process has to know."""
        return {
            "url": self.url,
            "config_file": str(self.config_file),
            "profile": "DEFAULT",
            "session_profile": "SESSION",
            "tenancy": self.tenancy,
            "user": self.credentials.user,
            "region": self.settings.region,
            "namespace": self.settings.namespace,
            "ca_file": str(self.ca_file),
            "metadata_base_url": f"{self.url}/opc/v2",
            "federation_endpoint": f"{self.url}/v1/x509",
        }

    def client_environment(self) -> dict[str, str]:
        """Variables with which the command-line client talks to this endpoint, signing with the API key."""
        # this variable also wins over OCI_CLI_CERT_BUNDLE where a machine has it set
        trust = {"REQUESTS_CA_BUNDLE": str(self.ca_file)} if self._servers[0].tls else {}
        return {"OCI_CLI_CONFIG_FILE": str(self.config_file), "OCI_CLI_ENDPOINT": self.url, **trust}

    def instance_environment(self) -> dict[str, str]:
        """Variables that make a client find an instance's identity here; the command-line client reads the second one only."""
        return {"OCI_METADATA_BASE_URL": f"{self.url}/opc/v2", "OCI_CLI_FEDERATION_ENDPOINT": f"{self.url}/v1/x509"}

    def resource_environment(self) -> dict[str, str]:
        """Variables of a resource principal, version 2.2, with a fresh token (SDK `get_resource_principals_signer`)."""
        token, key = self.credentials.make_resource_session(self._context.ocid("fnfunc"))
        return {
            "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
            "OCI_RESOURCE_PRINCIPAL_RPST": str(token),
            "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": str(key),
            "OCI_RESOURCE_PRINCIPAL_REGION": self.settings.region,
        }

    def workload_environment(self, host: str = "127.0.0.1") -> dict[str, str]:
        """Variables of a pod with workload identity; its exchange listens on the address and the one port that clients know."""
        server = self._listen(host, PORT, True)
        self._servers.append(server)
        server.run()
        token, _key = self.credentials.make_resource_session("system:serviceaccount:team:images")
        return {
            "KUBERNETES_SERVICE_HOST": host,
            "OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH": str(self.ca_file),
            "OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH": str(token),
            "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
            "OCI_RESOURCE_PRINCIPAL_REGION": self.settings.region,
        }

    def add_compartment(self, path: str) -> str:
        """The OCID of the compartment `path`, names separated by slashes, made with its parents where missing."""
        return self.identity.add_compartment(path)

    def requests(self, method: str = ".*", path: str = "") -> list[Entry]:
        """Requests in the order they came; regular expressions for the whole method and for some of path and query."""
        return self.log.entries(method, path)

    def uploads(self, bucket: str) -> list[Upload]:
        """Multipart uploads that are neither committed nor aborted."""
        found = self.buckets.by_name.get(bucket)
        return list(found.uploads.values()) if found else []

    def object_content(self, bucket: str, name: str) -> bytes:
        """For small objects."""
        return b"".join(self.buckets.by_name[bucket].objects[name].content.blocks())

    def end_next_import(self, status: str, *errors: tuple[str, str]) -> None:
        """The next import ends FAILED or CANCELED, whatever its content."""
        self.importer.outcomes.append(ImportOutcome(status, list(errors)) if errors else ImportOutcome(status))

    def wait_for_imports(self, seconds: float = 60) -> None:
        """Return once no import is under way any more, or after these seconds for each."""
        for thread in list(self.importer.threads):
            thread.join(timeout=seconds)

    def _key_of(self, key_id: str, signing: Signing) -> tuple[RSAPublicKey, Principal]:
        return self.federation.key_of(key_id) if signing is Signing.FEDERATION else self.credentials.key_of(key_id)
