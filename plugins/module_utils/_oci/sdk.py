# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service's Python SDK, and what its errors mean to a user."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._errors import OcneError


def sdk(submodule: str = "") -> Any:
    """The package oci, or a module of it.

    :raises OcneError: it is not installed where the module runs.
    """
    try:
        return importlib.import_module(f"oci.{submodule}" if submodule else "oci")
    except ImportError as error:
        raise OcneError(
            f"The Python package 'oci' cannot be imported by {sys.executable}: {error}.",
            "Install it there (pip install oci), or set ansible_python_interpreter to a Python that has it.",
        ) from error


class OciError(OcneError):
    """The service refused, or could not be reached.

    :param status: HTTP status; 0 where no answer came.
    :param code: the service's name of the error.
    """

    def __init__(self, message: str, hint: str, status: int, code: str, request_id: str) -> None:
        super().__init__(message, hint, status=status, code=code, request_id=request_id)
        self.status = status
        self.code = code

    @property
    def passes(self) -> bool:
        """Another try, later or with new credentials, may well succeed."""
        return self.status in (0, 401, 429) or self.status >= 500


#: What to do next, by the service's code or, where that says nothing, by status.
_HINTS: dict[object, str] = {
    "LimitExceeded": "Delete what is no longer needed, or ask for a higher service limit, then run again.",
    "QuotaExceeded": "Delete what is no longer needed, or have the compartment's quota raised, then run again.",
    "NotAuthenticated": "Check user, fingerprint and key (or that the session token has not expired), the region, and this host's clock.",
    "NotAuthorizedOrNotFound": "It is not there, or these credentials may not use it: check name or OCID, region, and policies.",
    "NamespaceNotFound": "Check namespace_name and the region.",
    "InvalidParameter": "Check the module's options.",
    401: "Check the credentials, and this host's clock.",
    403: "Check the policies of the compartment.",
    404: "Check its name or OCID, the region, and the policies.",
    429: "The service limits the rate of calls: run again later.",
    500: "The service is in trouble: run again later.",
}

#: A pre-authenticated request's path holds its secret.
_PREAUTHENTICATED = re.compile(r"/p/[^/\s]+/n/")

#: What the HTTP library puts after the names of its objects.
_CAUSE = re.compile(r"""Caused by \w+\(.*?: (.+)["']\)\)""", re.DOTALL)


def without_secrets(text: str) -> str:
    """The text with the secret part of pre-authenticated requests left out."""
    return _PREAUTHENTICATED.sub("/p/***/n/", text)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Turn the SDK's errors into OciError.

    :param what: the verb and the thing, after 'Could not': "list images of compartment …".
    """
    exceptions = sdk("exceptions")
    try:
        yield
    except exceptions.ServiceError as error:
        code, status, request = str(error.code or ""), int(error.status or 0), str(error.request_id or "")
        message = without_secrets(str(error.message or "no message")).strip().rstrip(".")
        hint = _HINTS.get(code) or _HINTS.get(500 if status >= 500 else status, "")
        raise OciError(
            f"Could not {what}: {message} ({status} {code}, request {request or 'without id'}).", hint, status, code, request
        ) from error
    except (exceptions.RequestException, exceptions.ConnectTimeout, ConnectionError) as error:
        raise OciError(
            f"Could not {what}: no answer from the service ({_innermost(error)}).",
            "Check the region or endpoints, the network and its proxy, and cert_bundle.",
            0,
            "",
            "",
        ) from error


def _innermost(error: BaseException) -> str:
    """The part of a nested connection error that says something."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    text = str(error.args[0] if error.args else error)
    cause = _CAUSE.search(text)
    return without_secrets(cause.group(1) if cause else text)[:300]
