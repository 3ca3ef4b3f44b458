# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What skopeo's failures mean, and what the user can do about each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .._errors import OcneError
from .access import Access, account
from .reference import Reference

#: One side of what skopeo does.
End = tuple[Reference, Access]


class SkopeoFailed(OcneError):
    """skopeo ended with an error.

    :param kind: 'unauthorized' (the account is missing or wrong), 'forbidden' (the account may not), 'missing',
        'unreachable' (another try may succeed), 'unresolved' (its name), 'untrusted' (TLS), 'space', 'exists',
        'unsupported', or '' for all else.
        It is the result's 'reason'.
    """

    def __init__(self, message: str, hint: str, kind: str, registry: str = "") -> None:
        details = {"reason": kind, "registry": registry}
        super().__init__(message, hint, **{name: value for name, value in details.items() if value})
        self.kind = kind


#: What skopeo says (regular expressions, in lower case), the kind it is, and what the user can do. First match counts.
_ANYWHERE = (
    ("no space left on device|disk quota exceeded", "space", "Free some space there. skopeo's own large files go to TMPDIR, or /var/tmp."),
    ("no image found in (manifest list|image index)", "missing", "Choose an architecture that the image has."),
    ("not supported in this build|unknown transport", "unsupported", "Install a skopeo that has the transport, or choose another one."),
    (r"client version \S+ is too old", "unsupported", "Install a newer skopeo: the Docker daemon is too new for this one."),
    ("can only be read from, not written to", "unsupported", "Choose another destination."),
    ("already exists|support modifying existing images", "exists", "Remove the destination, or choose another."),
)
#: The same, of registries and daemons only: a file, too, can end unexpectedly.
_REMOTE = (
    ("permission denied while trying to connect to the docker daemon", "forbidden", "Let this user write to Docker's socket."),
    ("cannot connect to the docker daemon", "unreachable", "Start it, or say in DOCKER_HOST where it listens."),
    (r"\b403\b|forbidden|access to the resource is denied|\bdenied: ", "forbidden", ""),
    (r"unauthorized|authentication required|\b401\b|invalid username", "unauthorized", ""),
    ("gave http response to https client", "untrusted", "The registry speaks plain HTTP: set tls_verify: false if that is meant."),
    ("x509|tls: |certificate", "untrusted", "Give the registry's certificate authority in ca_certificates."),
    ("no such host", "unresolved", "Check the registry's name, the network and the proxy."),
    (
        r"connection refused|timeout|unreachable|connection reset|\beof\b|broken pipe|\b50[0234]\b"
        r"|too ?many ?requests|server misbehaving|temporary failure|closed network connection|goaway|stream error",
        "unreachable",
        "Check the registry's name, the network and the proxy, and run again.",
    ),
)
_MISSING = (
    r"manifest unknown|name unknown|name not known|not found|no such file|does not exist|\b404\b|no such image|no descriptor found"
    r"|identifier is not an image|does not resolve to an image",
    "missing",
    "Check the reference: its repository, its tag and its transport.",
)


def explain(what: str, stderr: str, ends: Sequence[End]) -> SkopeoFailed:
    """The error for what skopeo wrote when it failed.

    :param what: was to be done: 'copy … to …'.
    :param ends: what it was to reach.
    """
    said = last_message(stderr)
    reference, access = _at_fault(said, ends)
    remote = any(each.registry or each.transport == "docker-daemon" for each, _access in ends)
    telling = _without_names(said, [each for each, _access in ends]).lower()
    for pattern, kind, hint in (*_ANYWHERE, *(_REMOTE if remote else ()), _MISSING):
        if re.search(pattern, telling):
            hint = hint or _who(kind, reference.registry, access)
            return SkopeoFailed(f"Could not {what}: {said}.", hint, kind, reference.registry)
    return SkopeoFailed(f"Could not {what}: {said}.", "", "", reference.registry)


def last_message(stderr: str) -> str:
    """skopeo's reason: the last line of its log, without the log's own dress."""
    lines = [line for line in stderr.strip().splitlines() if line.strip()] or ["it gave no reason"]
    fatal = [line for line in lines if "level=fatal" in line or "level=error" in line] or lines
    match = re.search(r'msg="((?:[^"\\]|\\.)*)"', fatal[-1])
    text = match.group(1).replace('\\"', '"').replace("\\\\", "\\") if match else fatal[-1]
    return text.strip().rstrip(".")


def _without_names(said: str, references: Sequence[Reference]) -> str:
    """What skopeo says without names that users chose: a repository may be called 'certificate', a tag '403'."""
    for reference in references:
        repository = re.sub("[:@][^/]*$", "", reference.rest.lstrip("/"))
        for chosen in (reference.rest, repository, f"/v2/{repository.partition('/')[2]}/", str(reference.path or "")):
            said = said.replace(chosen, "…") if "/" in chosen else said
    return re.sub(r"manifest \S+ in", "manifest in", said)


def _at_fault(said: str, ends: Sequence[End]) -> End:
    """Which end skopeo speaks of. What it does with a copy's source it calls so; all else is the destination's."""
    at_source = re.search(r"initializing source|source image|reading (manifest|blob|config)|parsing image configuration", said.lower())
    return ends[0] if at_source or not ends[-1][0].registry else ends[-1]


def _who(kind: str, registry: str, access: Access) -> str:
    """What to do about a refusal, by account."""
    name = account(access, registry)
    login = f"`podman login {registry}`"
    if not name:
        where = f" in {access.authfile}" if access.authfile else ""
        return (
            f"The registry {registry} wants an account, and none is known for it{where}: use {login}, authfile, or username and password."
        )
    if kind == "forbidden":
        return (
            f"The account {name} has no right to this in {registry}: grant it, or give another account by {login}, authfile, or username."
        )
    return f"The registry {registry} refused the account {name}: check its name and password, or log in anew with {login}."
