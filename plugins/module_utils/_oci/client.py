# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One client for each service, made when it is first used, with one way to retry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._errors import OcneError
from .auth import Identity, endpoint_of, identify
from .sdk import doing, sdk

#: Seconds to connect, and seconds without a byte while an answer is awaited.
_TIMEOUT = (10.0, 60.0)


@dataclass(frozen=True)
class Retry:
    """How often and how long a call is tried again: exponential, with jitter; times in seconds."""

    attempts: int = 8
    first_pause: float = 1.0
    longest_pause: float = 30.0
    total: float = 600.0


class Clients:
    """The services of one region, as one identity.

    :param params: the module's parameters with the options of auth.ARGUMENTS.
    """

    retry = Retry()

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    @cached_property
    def identity(self) -> Identity:
        return identify(self._params)

    @cached_property
    def identity_service(self) -> Any:
        return self._client("identity", "identity", "IdentityClient")

    @cached_property
    def object_storage(self) -> Any:
        return self._client("object_storage", "object_storage", "ObjectStorageClient")

    @cached_property
    def compute(self) -> Any:
        return self._client("compute", "core", "ComputeClient")

    @cached_property
    def work_requests(self) -> Any:
        return self._client("work_requests", "work_requests", "WorkRequestClient")

    def _client(self, service: str, module: str, name: str) -> Any:
        oci = sdk()
        identity = self.identity
        endpoint = endpoint_of(service, self._params)
        options: dict[str, Any] = {
            "retry_strategy": self._retry_strategy(),
            "circuit_breaker_strategy": oci.circuit_breaker.NoCircuitBreakerStrategy(),
            "timeout": _TIMEOUT,
        }
        if identity.signer is not None:
            options["signer"] = identity.signer
        if endpoint:
            options["service_endpoint"] = endpoint
        elif not identity.config.get("region"):
            raise OcneError("The region is not known.", "Set region, OCI_REGION, or endpoints for every service.")
        client = getattr(sdk(module), name)(dict(identity.config), **options)
        client.base_client.session.hooks["response"].append(_must_be_json)
        if self._params["cert_bundle"]:
            _trust(client.base_client.session, self._params["cert_bundle"])
        return client

    def _retry_strategy(self) -> Any:
        retry = sdk("retry")
        return retry.RetryStrategyBuilder(
            max_attempts=self.retry.attempts,
            total_elapsed_time_seconds=self.retry.total,
            retry_base_sleep_time_seconds=self.retry.first_pause,
            retry_max_wait_between_calls_seconds=self.retry.longest_pause,
            backoff_type=retry.BACKOFF_EQUAL_JITTER_VALUE,
        ).get_retry_strategy()


def _must_be_json(response: Any, *_args: Any, **_options: Any) -> None:
    """Of no call here, an answer has another body. A proxy's page would be taken for a list or an image without any properties."""
    if response.ok and response.content:
        try:
            json.loads(response.content)
        except ValueError as error:
            kind = response.headers.get("content-type", "no type")
            text = f"what answered is not the service: {len(response.content)} bytes of {kind} instead of JSON"
            raise sdk("_vendor.requests").exceptions.ConnectionError(text) from error


def _trust(session: Any, bundle: str) -> None:
    """Verify by this bundle. session.verify does not do: requests lets REQUESTS_CA_BUNDLE win over it."""
    merge = session.merge_environment_settings

    def merge_with_bundle(*args: Any) -> dict[str, Any]:
        return {**merge(*args), "verify": bundle}

    session.merge_environment_settings = merge_with_bundle


def every(what: str, call: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """All items of a list call, page after page.

    The SDK's own paging tries each page again by a strategy of its own, on top of the client's.

    :param what: the thing listed, for messages.
    """
    items: list[Any] = []
    with doing(f"list {what}"):
        response = call(*args, **kwargs)
        items.extend(response.data)
        while response.has_next_page:
            response = call(*args, page=response.next_page, **kwargs)
            items.extend(response.data)
    return items
