# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who asks: options, environment and configuration file become the SDK's configuration and signer.

Options are those of the collection oracle.oci, with the same environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import env_fallback

from .._errors import OcneError
from .sdk import sdk

USER_AGENT = "ocne.images"

SERVICES = ("auth", "identity", "object_storage", "compute", "work_requests")


def _option(environment: str, **more: Any) -> dict[str, Any]:
    return {"type": "str", "fallback": (env_fallback, [environment]), **more}


#: The options of the doc fragment ocne.images.oci.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "config_file_location": _option("OCI_CONFIG_FILE", type="path"),
    "config_profile_name": _option("OCI_CONFIG_PROFILE"),
    "auth_type": _option(
        "OCI_ANSIBLE_AUTH_TYPE",
        choices=["api_key", "security_token", "instance_principal", "resource_principal", "oke_workload_identity"],
        default="api_key",
    ),
    "tenancy": _option("OCI_TENANCY"),
    "region": _option("OCI_REGION"),
    "api_user": _option("OCI_USER_ID"),
    "api_user_fingerprint": _option("OCI_USER_FINGERPRINT"),
    "api_user_key_file": _option("OCI_USER_KEY_FILE", type="path", no_log=False),
    "api_user_key_pass_phrase": _option("OCI_USER_KEY_PASS_PHRASE", no_log=True),
    "cert_bundle": _option("OCI_ANSIBLE_CERT_BUNDLE", type="path"),
    "endpoints": {"type": "dict", "options": {service: {"type": "str"} for service in SERVICES}},
}

#: Options that take the place of a key of the configuration file.
_CONFIGURATION = {
    "api_user": "user",
    "api_user_fingerprint": "fingerprint",
    "api_user_key_file": "key_file",
    "api_user_key_pass_phrase": "pass_phrase",
    "tenancy": "tenancy",
    "region": "region",
}

_DEFAULT_FILE = "~/.oci/config"
_DEFAULT_PROFILE = "DEFAULT"


@dataclass(frozen=True)
class Identity:
    """Who asks.

    :param config: the SDK's configuration; holds secrets, never to be shown.
    :param signer: signs requests in place of the configuration's key; None for api_key.
    :param tenancy: OCID of the tenancy, '' where it is not known.
    """

    config: Mapping[str, Any]
    signer: Any
    tenancy: str


def identify(params: Mapping[str, Any]) -> Identity:
    """The identity that the options ask for.

    :raises OcneError: options, file or key are missing or wrong, or the principal cannot be had on this host.
    """
    auth_type = params["auth_type"]
    if auth_type == "api_key":
        return _api_key(params)
    if auth_type == "security_token":
        return _security_token(params)
    return _principal(auth_type, params)


def _api_key(params: Mapping[str, Any]) -> Identity:
    config = _configuration(params)
    oci = sdk()
    try:
        oci.config.validate_config(config)
    except oci.exceptions.InvalidConfig as error:
        wrong = ", ".join(f"{name} {what}" for name, what in sorted(error.errors.items()))
        raise OcneError(
            f"The credentials are not complete: {wrong}.",
            f"Set them in profile {_profile(params)} of {_file(params)}, by the options api_user, api_user_fingerprint, "
            "api_user_key_file, tenancy and region, or by OCI_USER_ID, OCI_USER_FINGERPRINT, OCI_USER_KEY_FILE, OCI_TENANCY "
            "and OCI_REGION; or set auth_type.",
        ) from error
    _load_key(config)
    return Identity(config, None, str(config["tenancy"]))


def _security_token(params: Mapping[str, Any]) -> Identity:
    config = _configuration(params)
    token_file = Path(str(config.get("security_token_file", ""))).expanduser()
    if not token_file.is_file():
        raise OcneError(
            f"There is no security token: security_token_file of profile {_profile(params)} in {_file(params)} names no file.",
            "Make a session with 'oci session authenticate'.",
        )
    signer = sdk("auth.signers").SecurityTokenSigner(token_file.read_text("utf-8").strip(), _load_key(config))
    return Identity(config, signer, str(config.get("tenancy") or ""))


def _principal(auth_type: str, params: Mapping[str, Any]) -> Identity:
    signers = sdk("auth.signers")
    makers = {
        "instance_principal": lambda: signers.InstancePrincipalsSecurityTokenSigner(
            federation_client_cert_bundle_verify=params["cert_bundle"] or True, retry_strategy=_metadata_retry(), **_federation(params)
        ),
        "resource_principal": signers.get_resource_principals_signer,
        "oke_workload_identity": lambda: signers.get_oke_workload_identity_resource_principal_signer(
            service_account_token_path=os.environ.get("OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH")
        ),
    }
    try:
        signer = makers[auth_type]()
    except Exception as error:  # each signer has its own, from OSError to ValueError
        raise OcneError(
            f"This host gives no {auth_type} ({type(error).__name__}: {str(error)[:300]}).",
            "Run where that principal exists (an instance of a dynamic group, a function, a pod of an enhanced cluster), or set auth_type.",
        ) from error
    region = params["region"] or getattr(signer, "region", None)
    tenancy = params["tenancy"] or getattr(signer, "tenancy_id", None) or _claimed_tenancy(signer)
    config = {"additional_user_agent": USER_AGENT, **({"region": region} if region else {})}
    return Identity(config, signer, tenancy or "")


def _metadata_retry() -> Any:
    """For the metadata service of the instance itself: the SDK would try for a minute and a half where there is none."""
    builder = sdk("retry").RetryStrategyBuilder(service_error_retry_config={404: [], 429: []}, max_attempts=3)
    return builder.get_retry_strategy()


def _federation(params: Mapping[str, Any]) -> dict[str, str]:
    """Where an instance gets its token, if not where its region says."""
    endpoint = endpoint_of("auth", params)
    return {"federation_endpoint": f"{endpoint}/v1/x509"} if endpoint else {}


def endpoint_of(service: str, params: Mapping[str, Any]) -> str:
    """The URL that the options give for a service, without a slash at its end; '' where they give none.

    :raises OcneError: it is no URL.
    """
    endpoint = str((params["endpoints"] or {}).get(service) or "")
    parts = urlsplit(endpoint)
    if endpoint and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise OcneError(f"endpoints: {service} is {endpoint!r}, which is no URL.", "Give it as https://host[:port].")
    return endpoint.rstrip("/")


def _claimed_tenancy(signer: Any) -> str:
    claim = getattr(signer, "get_claim", None)
    try:
        return str(claim("res_tenant")) if claim else ""
    except KeyError:
        return ""


def _file(params: Mapping[str, Any]) -> str:
    return str(params["config_file_location"] or _DEFAULT_FILE)


def _profile(params: Mapping[str, Any]) -> str:
    return str(params["config_profile_name"] or _DEFAULT_PROFILE)


def _configuration(params: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration file's profile with the options over it. No file is needed when the options say all."""
    oci = sdk()
    asked = {key: params[option] for option, key in _CONFIGURATION.items() if params[option]}
    config = dict(oci.config.DEFAULT_CONFIG)
    named = bool(params["config_file_location"] or params["config_profile_name"])
    if named or Path(_DEFAULT_FILE).expanduser().is_file():
        try:
            config.update(oci.config.from_file(_file(params), _profile(params)))
        except oci.exceptions.InvalidKeyFilePath as error:
            if "key_file" not in asked:
                raise OcneError(str(error), "Set key_file in it, or the option api_user_key_file.") from error
        except (oci.exceptions.ClientError, ValueError) as error:
            raise OcneError(str(error).strip(), "Check config_file_location and config_profile_name.") from error
    config.update(asked)
    config["additional_user_agent"] = USER_AGENT
    return config


def _load_key(config: Mapping[str, Any]) -> Any:
    """The private key, read once here so that a wrong one is named."""
    oci = sdk()
    path = str(config.get("key_file") or "")
    try:
        return sdk("signer").load_private_key_from_file(str(Path(path).expanduser()), config.get("pass_phrase"))
    except FileNotFoundError as error:
        raise OcneError(f"The private key {path or '(none)'} does not exist.", "Check api_user_key_file.") from error
    except oci.exceptions.MissingPrivateKeyPassphrase as error:
        raise OcneError(f"The private key {path} is encrypted.", "Set api_user_key_pass_phrase.") from error
    except (oci.exceptions.InvalidPrivateKey, ValueError) as error:
        raise OcneError(f"{path} is no private key in PEM format, or its pass phrase is wrong.", "Check api_user_key_file.") from error
