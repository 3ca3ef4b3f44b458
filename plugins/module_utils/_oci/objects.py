# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Buckets, objects, multipart uploads and pre-authenticated requests of Object Storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from .._errors import OcneError
from .client import Clients, every
from .sdk import OciError, doing, sdk

#: Metadata by which an object is known to be ours: digest of the disk image, and of image_metadata.json.
CONTENT_KEY = "ocne-content-digest"
METADATA_KEY = "ocne-metadata-digest"
_META_PREFIX = "opc-meta-"


@dataclass(frozen=True)
class StoredObject:
    """An object as it is now.

    :param size: bytes.
    :param multipart_md5: what the service says of an object put together from parts, else ''.
    :param metadata: the user-defined metadata, without prefix.
    """

    etag: str
    size: int
    multipart_md5: str
    metadata: Mapping[str, str]

    @property
    def is_ours(self) -> bool:
        return CONTENT_KEY in self.metadata

    def holds(self, metadata: Mapping[str, str]) -> bool:
        return all(self.metadata.get(key) == value for key, value in metadata.items())


class Replaced(OcneError):
    """Where an upload was to end, there is another object by now."""


class Place:
    """Where one object lies, or is to lie."""

    def __init__(self, clients: Clients, namespace: str | None, bucket: str, name: str) -> None:
        self._clients = clients
        self._namespace = namespace
        self.bucket = bucket
        self.name = name

    def __str__(self) -> str:
        return f"object {self.name} in bucket {self.bucket}"

    @property
    def _client(self) -> Any:
        return self._clients.object_storage

    @cached_property
    def namespace(self) -> str:
        if self._namespace:
            return self._namespace
        with doing("get the Object Storage namespace of the tenancy"):
            return str(self._client.get_namespace().data)

    @property
    def endpoint(self) -> str:
        return str(self._client.base_client.endpoint)

    @property
    def _object(self) -> tuple[str, str, str]:
        return self.namespace, self.bucket, self.name

    def bucket_exists(self, compartment: str) -> bool:
        """Whether the bucket is there, in that compartment.

        :raises OcneError: it is in another compartment.
        """
        try:
            with doing(f"get bucket {self.bucket} of namespace {self.namespace}"):
                found = self._client.get_bucket(self.namespace, self.bucket).data
        except OciError as error:
            if error.status == 404 and error.code != "NamespaceNotFound":
                return False
            raise
        if found.compartment_id != compartment:
            raise OcneError(
                f"Bucket {self.bucket} is in compartment {found.compartment_id}, not in {compartment}.",
                "Bucket names are unique in a namespace: choose another bucket_name, or the bucket's compartment.",
            )
        return True

    def create_bucket(self, compartment: str) -> None:
        details = sdk("object_storage").models.CreateBucketDetails(name=self.bucket, compartment_id=compartment)
        try:
            with doing(f"create bucket {self.bucket} in compartment {compartment}"):
                self._client.create_bucket(self.namespace, details)
        except OciError as error:
            # Another run was faster, or these credentials cannot see the bucket that has the name.
            if error.status != 409 or not self.bucket_exists(compartment):
                raise

    def head(self) -> StoredObject | None:
        """The object, or None where it or its bucket is not there."""
        try:
            with doing(f"look at {self}"):
                headers = self._client.head_object(*self._object).headers
                etag = _etag(headers)
        except OciError as error:
            if error.status == 404:
                return None
            raise
        metadata = {key.lower()[len(_META_PREFIX) :]: value for key, value in headers.items() if key.lower().startswith(_META_PREFIX)}
        return StoredObject(etag, int(headers.get("content-length", 0)), headers.get("opc-multipart-md5", ""), metadata)

    def delete(self, etag: str) -> bool:
        """Remove the object if it is still this one; whether it was."""
        try:
            with doing(f"delete {self}"):
                self._client.delete_object(*self._object, if_match=etag)
        except OciError as error:
            if error.status in (404, 412):
                return False
            raise
        return True

    def begin_upload(self, metadata: Mapping[str, str]) -> str:
        """A new multipart upload's id."""
        details = sdk("object_storage").models.CreateMultipartUploadDetails(
            object=self.name,
            content_type="application/gzip",
            metadata={_META_PREFIX + key: value for key, value in metadata.items()},
        )
        with doing(f"begin the upload of {self}"):
            return str(self._client.create_multipart_upload(self.namespace, self.bucket, details).data.upload_id)

    def put_part(self, upload_id: str, number: int, body: Any, md5: str) -> str:
        """Send a part; its ETag. body: bytes, or a file-like object with a length.

        :raises OcneError: the service has received other bytes.
        """
        with doing(f"upload part {number} of {self}"):
            headers = self._client.upload_part(*self._object, upload_id, number, body, content_md5=md5).headers
            etag = _etag(headers)
        received = headers.get("opc-content-md5", md5)
        if received != md5:
            raise OcneError(f"Part {number} of {self} arrived damaged: its MD5 is {received}, not {md5}.", "Run again.")
        return etag

    def parts(self, upload_id: str) -> dict[int, Any] | None:
        """The parts that the service has, by number; None where there is no such upload (any more)."""
        try:
            parts = every(f"the parts of the upload of {self}", self._client.list_multipart_upload_parts, *self._object, upload_id)
        except OciError as error:
            if error.status == 404:
                return None
            raise
        return {part.part_number: part for part in parts}

    def commit(
        self, upload_id: str, etags: Iterable[tuple[int, str]], multipart_md5: str, size: int, replaced: StoredObject | None
    ) -> StoredObject:
        """Make the parts the object.

        :param multipart_md5: what the object's MD5 must be, where the service tells it. size: what its size must be.
        :param replaced: the object that this one may take the place of; None: there must be none.
        :raises Replaced: another object has taken the place.
        :raises OcneError: the object is not what was sent.
        """
        models = sdk("object_storage").models
        parts = [models.CommitMultipartUploadPartDetails(part_num=number, etag=etag) for number, etag in etags]
        condition = {"if_match": replaced.etag} if replaced else {"if_none_match": "*"}
        try:
            with doing(f"commit the upload of {self}"):
                headers = self._client.commit_multipart_upload(
                    *self._object, upload_id, models.CommitMultipartUploadDetails(parts_to_commit=parts), **condition
                ).headers
        except OciError as error:
            if error.status not in (404, 409, 412):
                raise
            # Either an answer got lost, so that this was a second try, or another run was faster with the same bytes.
            stored = self.head()
            if stored and stored.multipart_md5 == multipart_md5:
                self.abort_upload(upload_id)
                return stored
            if error.status == 412:
                raise Replaced(
                    f"Another object took the place of {self} during the upload.", "Choose another object_name, or run again."
                ) from error
            raise
        stored = self.head()
        if stored is None:
            raise OcneError(f"The {self} is not there after its upload.", "Someone else removed it: run again.")
        made = headers.get("opc-multipart-md5") or stored.multipart_md5 or multipart_md5
        if (made, stored.size) != (multipart_md5, size):
            raise OcneError(
                f"The {self} is not what was uploaded: {stored.size} bytes with MD5 {made}, not {size} with {multipart_md5}.", "Run again."
            )
        return stored

    def abort_upload(self, upload_id: str) -> None:
        try:
            with doing(f"abort the upload of {self}"):
                self._client.abort_multipart_upload(*self._object, upload_id)
        except OciError as error:
            if error.status != 404:
                raise

    def preauthenticate(self, name: str, expires: datetime) -> tuple[str, str]:
        """A request that reads the object without credentials: its id, and its URL, which is a secret."""
        models = sdk("object_storage").models
        details = models.CreatePreauthenticatedRequestDetails(
            name=name, object_name=self.name, access_type="ObjectRead", time_expires=expires
        )
        with doing(f"create a pre-authenticated request for {self}"):
            request = self._client.create_preauthenticated_request(self.namespace, self.bucket, details).data
        return str(request.id), self.endpoint.rstrip("/") + str(request.access_uri)

    def delete_preauthenticated_request(self, identifier: str) -> None:
        try:
            with doing(f"delete the pre-authenticated request for {self}"):
                self._client.delete_preauthenticated_request(self.namespace, self.bucket, identifier)
        except OciError as error:
            if error.status != 404:
                raise


def _etag(headers: Mapping[str, str]) -> str:
    etag = headers.get("etag")
    if not etag:
        raise ConnectionError("what answered is not the service: it named no ETag")
    return etag
