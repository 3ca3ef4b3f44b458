# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build program in a pod: a request in a JSON file, progress and result as JSON lines, the last of which is how it stands.

    python3 -m _imagebuild.pod REQUEST

The request: {"program": name in PROGRAMS, "awaits": [files that are still to arrive], "sources": [{"file": path} or {"layout":
folder, "blobs": folder}], "arguments": {...}, "output": path}. The lines: {"doing": activity, "done": bytes, "total": bytes or
null}, {"result": {...}}, or {"error": message, "hint": text}. After a result it stays, so that the output can be fetched, until it
is ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Optional, Union

from . import boot_image, conversion, ostree_archive
from .errors import BuildError
from .layout import Image, read_image
from .progress import Progress

Source = Union[Image, Path]

#: Seconds between two lines of progress.
_INTERVAL = 1.0
_POLL = 0.1


def _boot_image(sources: Sequence[Source], arguments: Mapping[str, Any], output: Path, progress: Progress) -> boot_image.Built:
    asked = arguments["options"]
    options = conversion.Options(asked["provider"], asked["ignition_provider"], tuple(asked["kernel_arguments"]))
    return boot_image.build(sources[0], arguments["source_digest"], options, arguments["engine"], output, progress)


def _ostree_archive(sources: Sequence[Source], arguments: Mapping[str, Any], output: Path, progress: Progress) -> ostree_archive.Built:
    source, base = sources
    if not isinstance(source, Image) or not isinstance(base, Image):
        raise BuildError("The sources of an ostree archive are images, not files.")
    return ostree_archive.build(source, base, ostree_archive.Options(**arguments["options"]), output, progress)


PROGRAMS: Mapping[str, Callable[[Sequence[Source], Mapping[str, Any], Path, Progress], Any]] = {
    "boot_image": _boot_image,
    "ostree_archive": _ostree_archive,
}


def run(request: Mapping[str, Any], progress: Progress) -> Any:
    """Carry a request out; the program's own result.

    :raises BuildError: as the program.
    """
    for name in request["awaits"]:
        progress("waiting for the source", 0, None)
        while not os.path.exists(name):  # noqa: PTH110
            time.sleep(_POLL)
    sources: list[Source] = []
    for source in request["sources"]:
        if "file" in source:
            sources.append(Path(source["file"]))
        else:
            progress("reading the image", 0, None)
            sources.append(read_image(Path(source["layout"]), Path(source["blobs"])))
    return PROGRAMS[request["program"]](sources, request["arguments"], Path(request["output"]), progress)


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _reporter() -> Progress:
    """Progress as lines: at once where something else is being done, else once in a while."""
    last: dict[str, Any] = {"activity": None, "at": 0.0}

    def report(activity: str, done: int, total: Optional[int]) -> None:
        now = time.monotonic()
        if activity != last["activity"] or now - last["at"] >= _INTERVAL:
            last.update(activity=activity, at=now)
            _say(doing=activity, done=done, total=total)

    return report


def main() -> None:
    # The first process of a container gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(128 + signal.SIGTERM))
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    try:
        built = run(request, _reporter())
    except BuildError as error:
        _say(error=error.message, hint=error.hint)
        raise SystemExit(1) from error
    _say(result=asdict(built))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
