# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step behind ocne_image_push: an image at a destination of any transport."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional

from .. import _platform
from .._errors import OcneError
from .._files import in_use
from .._imagebuild.progress import Progress
from .._module import Plan
from . import destination
from .access import Access, access, account
from .inspection import Found, compares_by_digest, content_at, digest_at, keeps_manifest, look
from .reference import Reference, is_file_path, parse_reference
from .skopeo import Skopeo


@dataclass(frozen=True)
class _There:
    """What the destination has. content: where that is what is compared."""

    digest: str
    content: str = ""


class Push:
    """Compares source and destination by digest, or by contents where a transport writes the manifest anew; copies where they differ."""

    def __init__(self, params: dict[str, Any], progress: Progress) -> None:
        if params["retries"] < 0:
            raise OcneError(f"retries is {params['retries']}.", "Give how many times more to try, at least 0.")
        self._params = params
        self._progress = progress
        self._source = _source(params["src"] or _default_source(params))
        self._dest = _dest(params["dest"])
        at_dest = access(params)
        at_source = replace(at_dest, username=params["src_username"], password=params["src_password"], tls_verify=params["src_tls_verify"])
        if self._source.registry == self._dest.registry and at_source.username is None:
            at_source = replace(at_source, username=at_dest.username, password=at_dest.password)
        self._access: Access = at_dest
        self._from = Skopeo(at_source, retries=params["retries"])
        self._to = Skopeo(at_dest, at_source, params["retries"])

    def plan(self) -> Plan:
        destination.check(self._dest)
        source = look(self._from, self._source, self._params["architecture"])
        by_digest = compares_by_digest(source, self._dest)
        content = "" if by_digest else content_at(self._from, source.reference, source.architecture)
        wanted = _There(source.digest, content)
        there = self._look_at_destination(by_digest)
        before = _state(there, by_digest)
        if there and _same(there, wanted, by_digest):
            return Plan((), before, before, self._result(there.digest, copied=False), source, self._dest.path)
        action = f"copy {source.reference} to {self._dest}"
        result = {"dest": str(self._dest), "copied": False, **({"digest": source.digest} if by_digest else {})}
        return Plan((action,), before, _state(wanted, by_digest), result, source)

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        source: Found = plan.context
        with ExitStack() as stack:
            if self._source.path:
                stack.enter_context(in_use(self._source.path))
            staged = stack.enter_context(destination.writing(self._dest, self._params["lock_timeout"], self._progress))
            options = list(staged.options)
            if keeps_manifest(source, self._dest):
                options.append("--preserve-digests")
            self._to.copy(source.reference, staged.reference, options, source.architecture, staged.clear, self._watch(source))
        digest = digest_at(self._to, self._dest)
        if compares_by_digest(source, self._dest) and digest != source.digest:
            raise OcneError(
                f"{self._dest} has the digest {digest} after {source.digest} was copied to it.",
                "Another run writes to the same destination, or the source changed meanwhile. Run again.",
            )
        return self._result(digest, copied=True)

    def _watch(self, source: Found) -> Callable[[int], None]:
        """Tells of a copy by what skopeo reads: the image, and all of it once more for each archive, which it unpacks or packs."""
        passes = 1 + sum(reference.transport.endswith("-archive") for reference in (source.reference, self._dest))
        activity, total = f"copying {source.reference.short}", source.size or None
        self._progress(activity, 0, total)
        return lambda count: self._progress(activity, min(count // passes, total or count), total)

    def _look_at_destination(self, by_digest: bool) -> Optional[_There]:
        """What is there; None where nothing is, or nothing that can be read."""
        try:
            digest = digest_at(self._to, self._dest)
            return _There(digest, "" if by_digest else content_at(self._to, self._dest))
        except OcneError as failure:
            if self._dest.path:
                return None  # not there, cut short, or damaged: it is made anew
            reason = failure.details.get("reason")
            # Some registries answer so where the account may make the repository, which is not there yet: the copy will tell.
            if reason == "missing" or (reason == "forbidden" and account(self._access, self._dest.registry)):
                return None
            raise

    def _result(self, digest: str, copied: bool) -> dict[str, Any]:
        return {"digest": digest, "dest": str(self._dest), "copied": copied}


def _default_source(params: Mapping[str, Any]) -> str:
    """The archive that ocne_ostree_archive makes."""
    version, architecture = _platform.kubernetes_version(params["kubernetes_version"]), _platform.architecture(params["architecture"])
    return str(Path(_platform.IMAGES_FOLDER, _platform.ostree_archive_name(version, architecture)))


def _source(text: str) -> Reference:
    """Where src is: a reference, or the path of an OCI archive or layout."""
    if not is_file_path(text):
        return _absolute(parse_reference(text))
    path = Path(text).expanduser()
    if not path.exists():
        raise OcneError(f"src {path} is not there.", "Give an OCI archive of this host, or a reference such as docker://host/name:tag.")
    return _absolute(Reference("oci" if path.is_dir() else "oci-archive", str(path)))


def _dest(text: str) -> Reference:
    if is_file_path(text):
        raise OcneError(f"dest {text} names no transport.", f"Write oci-archive:{text} for an archive, or dir:{text} for a folder.")
    return _absolute(parse_reference(text))


def _absolute(reference: Reference) -> Reference:
    return reference.with_path(reference.path.expanduser().absolute()) if reference.path else reference


def _same(there: _There, wanted: _There, by_digest: bool) -> bool:
    return there.digest == wanted.digest or (not by_digest and there.content == wanted.content)


def _state(image: Optional[_There], by_digest: bool) -> dict[str, Any]:
    """For the diff: what is compared."""
    if image is None:
        return {}
    return {"digest": image.digest} if by_digest else {"content": image.content}
