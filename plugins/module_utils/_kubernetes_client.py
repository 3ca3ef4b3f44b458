# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Kubernetes cluster is reached: options, the place that names it, the client, and what its errors mean to a user.

Options and environment variables are those of the collection kubernetes.core.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ansible.module_utils.basic import env_fallback

from ._errors import OcneError

DEFAULT_KUBECONFIG = "~/.kube/config"

#: Seconds to connect, and to wait for an answer's next bytes.
REQUEST_TIMEOUT = (10, 30)


def _option(variable: str, **more: Any) -> dict[str, Any]:
    return {"type": "str", "fallback": (env_fallback, [f"K8S_AUTH_{variable}"]), **more}


#: Options by which a module reaches a cluster; the documentation fragment 'kubernetes' describes them.
OPTIONS: dict[str, dict[str, Any]] = {
    "kubeconfig": _option("KUBECONFIG", type="path"),
    "context": _option("CONTEXT"),
    "host": _option("HOST"),
    "api_key": _option("API_KEY", no_log=True),
    "client_cert": _option("CERT_FILE", type="path", aliases=["cert_file"]),
    "client_key": _option("KEY_FILE", type="path", aliases=["key_file"], no_log=False),
    "ca_cert": _option("SSL_CA_CERT", type="path", aliases=["ssl_ca_cert"]),
    "validate_certs": _option("VERIFY_SSL", type="bool", aliases=["verify_ssl"]),
}


#: How the HTTP library names its objects, before what happened to them.
_CONNECTION = re.compile(r"^(<.*?>|HTTPS?Connection(Pool)?\(.*?\)): ")


@dataclass(frozen=True)
class Access:
    """Where a cluster is.

    :param origin: what names it, for messages.
    :param named: somebody has named this cluster; else it is only where one usually is.
    :param kubeconfig: file, or files in the form of KUBECONFIG; empty where it is reached without.
    :param context: of the kubeconfig; empty for its current one.
    :param overrides: further options that are set, by their names.
    """

    origin: str
    named: bool
    kubeconfig: str = ""
    context: str = ""
    in_cluster: bool = False
    overrides: tuple[tuple[str, Any], ...] = ()


def find(params: Mapping[str, Any], environment: Optional[Mapping[str, str]] = None) -> Optional[Access]:
    """The cluster that options, environment, the user's kubeconfig, or the pod around us name, in this order; None where none does."""
    environment = os.environ if environment is None else environment
    overrides = tuple((name, params[name]) for name in OPTIONS if name not in ("kubeconfig", "context") and params.get(name) is not None)
    context = params.get("context") or ""
    if params.get("kubeconfig"):
        return Access(f"kubeconfig {params['kubeconfig']}", True, params["kubeconfig"], context, overrides=overrides)
    if params.get("host"):
        return Access(f"host {params['host']}", True, overrides=overrides)
    if environment.get("KUBECONFIG"):
        return Access(f"KUBECONFIG={environment['KUBECONFIG']}", True, environment["KUBECONFIG"], context, overrides=overrides)
    usual = Path(DEFAULT_KUBECONFIG).expanduser()
    if usual.is_file() or context:
        return Access(f"kubeconfig {usual}", bool(context), str(usual), context, overrides=overrides)
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return Access("the cluster around this pod", True, in_cluster=True, overrides=overrides)
    return None


def library(submodule: str = "client") -> Any:
    """A module of the package kubernetes.

    :raises OcneError: it is not installed where the module runs.
    """
    try:
        return importlib.import_module(f"kubernetes.{submodule}")
    except ImportError as error:
        raise OcneError(
            f"The Python package 'kubernetes' cannot be imported by {sys.executable}: {error}.",
            "Install it there (pip install 'kubernetes>=31,<37'), or set ansible_python_interpreter to a Python that has it.",
        ) from error


class KubeconfigError(OcneError):
    """A kubeconfig names no cluster that can be used."""


def connect(access: Access) -> Any:
    """An ApiClient for the cluster; nothing is sent yet, except by a credential plugin of the kubeconfig.

    :raises KubeconfigError: it has no such context, or none at all.
    :raises OcneError: it cannot be read.
    """
    client, config = library("client"), library("config")
    configuration = client.Configuration()
    configuration.retries = False  # each caller knows what may be sent again
    try:
        if access.in_cluster:
            config.load_incluster_config(client_configuration=configuration)
        elif access.kubeconfig:
            _readable(access)
            config.load_kube_config(access.kubeconfig, access.context or None, configuration, persist_config=False)
    except config.ConfigException as error:
        raise KubeconfigError(f"The cluster of {access.origin} cannot be used: {error}.", _hint(access)) from error
    _override(configuration, dict(access.overrides))
    _name_token(configuration)
    return client.ApiClient(configuration)


def _readable(access: Access) -> None:
    """Say which file cannot be used, and why; the library takes a missing file for an empty one, and fails oddly on damaged ones."""
    yaml = importlib.import_module("yaml")
    paths = [Path(name).expanduser() for name in access.kubeconfig.split(os.pathsep) if name]
    if not any(path.exists() for path in paths):
        raise OcneError(f"There is no file {access.kubeconfig}.", "Give the path of a kubeconfig, or leave the option out.")
    for path in paths:
        try:
            content = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise OcneError(f"Kubeconfig {path} cannot be read: {' '.join(str(error).split())}.", "Check the file.") from error
        if not isinstance(content or {}, dict):
            raise OcneError(f"{path} is no kubeconfig.", "Check the file.")


def _hint(access: Access) -> str:
    contexts = context_names(access)
    return f"It has the contexts {', '.join(contexts)}: set context to one of them." if contexts else "Check the file."


def name(access: Access) -> str:
    """What the user calls the cluster: the context of the kubeconfig, else the address."""
    if access.kubeconfig and not access.context:
        _contexts, current = library("config").list_kube_config_contexts(access.kubeconfig)
        return str(current["name"])
    return access.context or str(dict(access.overrides).get("host", access.origin))


def context_names(access: Access) -> list[str]:
    """The contexts of the kubeconfig."""
    try:
        # Not by list_kube_config_contexts, which wants a current context.
        content = library("config.kube_config").KubeConfigMerger(access.kubeconfig).config
    except library("config").ConfigException:
        return []  # it is empty
    return sorted(str(each["name"]) for each in (content.value if content else {}).get("contexts") or [])


def _override(configuration: Any, overrides: Mapping[str, Any]) -> None:
    names = {"host": "host", "client_cert": "cert_file", "client_key": "key_file", "ca_cert": "ssl_ca_cert", "validate_certs": "verify_ssl"}
    for option, attribute in names.items():
        if option in overrides:
            setattr(configuration, attribute, overrides[option])
    if "api_key" in overrides:
        configuration.api_key = {"authorization": f"Bearer {overrides['api_key']}"}
        configuration.refresh_api_key_hook = None  # it would put the kubeconfig's own in place again


def _name_token(configuration: Any) -> None:
    """Let the client find the token under each name: release 36.0.0 looks for it under another than its own loaders put it.

    https://github.com/kubernetes-client/python/issues/2584
    """
    load_again = configuration.refresh_api_key_hook

    def refresh(configuration: Any) -> None:
        if load_again:
            configuration.api_key.clear()
            load_again(configuration)
        for token in list(configuration.api_key.values())[:1]:
            configuration.api_key.update(authorization=token, BearerToken=token)
        configuration.refresh_api_key_hook = refresh  # the library's puts itself in place again

    refresh(configuration)


class ClusterError(OcneError):
    """The API server refused, or could not be reached.

    :param status: HTTP status; 0 where no answer came.
    :param reason: Kubernetes' name of the error, e.g. 'Forbidden'.

    passing: another try may succeed; what was asked for may have been done all the same.
    """

    def __init__(self, message: str, hint: str, status: int, reason: str) -> None:
        super().__init__(message, hint, status=status, reason=reason)
        self.status = status
        self.reason = reason
        self.passing = status in (0, 429) or status >= 500


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Turn the client's errors into ClusterError.

    :param what: the verb and the thing, after 'Could not': "list the nodes of …".
    """
    exceptions = library("client.exceptions")
    http = importlib.import_module("urllib3.exceptions")
    try:
        yield
    except (exceptions.ApiException, AttributeError) as error:
        # From release 36 on, the library falls over its own exception where that has no body.
        told = error.__context__ if isinstance(error, AttributeError) else error
        if not isinstance(told, exceptions.ApiException):
            raise
        raise _answered(what, told) from error
    except (http.HTTPError, OSError) as error:
        raise _unanswered(what, _innermost(error)) from error


def _answered(what: str, error: Any) -> ClusterError:
    """What an ApiException means. What a WebSocket's handshake was refused with is in the exception that it was made of."""
    status = error.status or getattr(error.__context__, "status_code", 0)
    if not status:  # TLS failed
        return _unanswered(what, _one_line(error.reason))
    reason, message = _status(error.body or getattr(error.__context__, "resp_body", ""), error.reason)
    return ClusterError(f"Could not {what}: {message} ({status} {reason}).", _advice(status, message), status, reason)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _unanswered(what: str, why: str) -> ClusterError:
    hint = "Check that the cluster runs, the address in its kubeconfig, the network and its proxy, and certificates."
    return ClusterError(f"Could not {what}: no answer from the API server ({why}).", hint, 0, "")


def _status(body: Any, reason: object) -> tuple[str, str]:
    """The reason and message of the Status object that the API server answers with.

    :param reason: what the library says, where the answer is none.
    """
    try:
        status = json.loads(body)
        return str(status.get("reason") or reason), str(status.get("message") or reason).rstrip(".")
    except (TypeError, ValueError, AttributeError):
        return str(reason), str(body or reason or "no message")[:300].strip().rstrip(".")


def _advice(status: int, message: str) -> str:
    if status == 401 or "system:anonymous" in message:
        return "The credentials are missing, wrong, or have expired: log in again, or take another kubeconfig or context."
    if status == 403 and "exceeded quota" in message:
        return "Free some of the namespace's quota, or have it raised."
    if status == 403:
        return "Ask for a role that allows this, or take another namespace, kubeconfig or context."
    return "The API server is in trouble: run again later." if status >= 500 else ""


def _innermost(error: BaseException) -> str:
    """The part of a nested connection error that says something."""
    reason = getattr(error, "reason", None)
    while isinstance(reason, BaseException):
        error, reason = reason, getattr(reason, "reason", None)
    text = str(error.args[-1] if error.args else error)
    return _CONNECTION.sub("", text)[:300]
