# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the SDK raises becomes one sentence with the request id, and never tells a secret."""

from __future__ import annotations

import importlib
from typing import Any

import oci
import pytest
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._oci.client import _must_be_json
from ansible_collections.ocne.images.plugins.module_utils._oci.images import refuses_object
from ansible_collections.ocne.images.plugins.module_utils._oci.sdk import OciError, doing, sdk, without_secrets


def _caught(error: BaseException) -> OciError:
    with pytest.raises(OciError) as caught, doing("import image ock"):
        raise error
    return caught.value


def _service_error(status: int, code: str, message: str) -> OciError:
    return _caught(oci.exceptions.ServiceError(status, code, {"opc-request-id": "ABC/DEF"}, message))


def test_error_of_the_service_names_thing_code_and_request() -> None:
    error = _service_error(400, "LimitExceeded", "Limit custom-image-count exceeded.")
    assert str(error) == (
        "Could not import image ock: Limit custom-image-count exceeded (400 LimitExceeded, request ABC/DEF). "
        "Delete what is no longer needed, or ask for a higher service limit, then run again."
    )
    assert error.details == {"status": 400, "code": "LimitExceeded", "request_id": "ABC/DEF"}


@pytest.mark.parametrize(
    ("status", "passes"),
    [(400, False), (401, True), (403, False), (404, False), (409, False), (412, False), (429, True), (500, True), (503, True)],
)
def test_errors_that_may_pass(status: int, passes: bool) -> None:
    assert _service_error(status, "Code", "Message").passes is passes


def test_no_answer_may_pass_and_says_the_innermost_reason() -> None:
    inner = oci.exceptions.RequestException(
        ConnectionError(
            "HTTPConnectionPool(host='h', port=9): Max retries exceeded with url: /x (Caused by NewConnectionError("
            "\"HTTPConnection(host='h', port=9): Failed to establish a new connection: [Errno 111] Connection refused\"))"
        )
    )
    error = _caught(inner)
    assert error.passes
    assert "no answer from the service (Failed to establish a new connection: [Errno 111] Connection refused)" in str(error)


def test_url_of_a_preauthenticated_request_is_not_told() -> None:
    url = "https://objectstorage.example.com/p/SeCrEt-_token/n/namespace/b/bucket/o/object"
    assert without_secrets(f"Cannot read {url}") == "Cannot read https://objectstorage.example.com/p/***/n/namespace/b/bucket/o/object"
    assert "SeCrEt" not in str(_service_error(400, "InvalidParameter", f"Cannot read {url}"))
    assert "SeCrEt" not in str(_caught(oci.exceptions.RequestException(ConnectionError(f"reset: {url}"))))


def test_other_errors_pass_through() -> None:
    with pytest.raises(ValueError, match="ours"), doing("import"):
        raise ValueError("ours")


@pytest.mark.parametrize(
    ("status", "message", "refused"),
    [
        (404, "Authorization failed or requested resource not found", True),
        (403, "No", True),
        (400, "Invalid objectName: Specified object or bucket or namespace to import image from does not exist", True),
        (400, "Specified object: it does not exist", True),
        (400, "Invalid displayName", False),
        (500, "Internal error with an object", False),
    ],
)
def test_refusal_to_read_the_object(status: int, message: str, refused: bool) -> None:
    assert refuses_object(_service_error(status, "Code", message)) is refused


def test_the_name_of_an_image_is_no_refusal_to_read_its_object() -> None:
    with pytest.raises(OciError) as caught, doing("import image object"):
        raise oci.exceptions.ServiceError(400, "Code", {}, "Invalid displayName")
    assert not refuses_object(caught.value)


def test_missing_sdk_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_module(name: str, *args: Any) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", no_module)
    with pytest.raises(OcneError, match=r"pip install oci"):
        sdk()


@pytest.mark.parametrize(
    ("status", "content", "accepted"), [(200, b"<html>", False), (200, b"[]", True), (200, b"", True), (503, b"<html>", True)]
)
def test_a_page_in_the_place_of_an_answer_is_none(status: int, content: bytes, accepted: bool) -> None:
    """What has the status of an error, the SDK makes one of."""
    response = sdk("_vendor.requests").Response()
    response.status_code, response._content = status, content
    if accepted:
        _must_be_json(response)
        return
    with pytest.raises(OciError, match="what answered is not the service: 6 bytes"), doing("import image ock"):
        try:
            _must_be_json(response)
        except sdk("_vendor.requests").exceptions.RequestException as error:
            raise oci.exceptions.RequestException(error) from error  # as the SDK does
