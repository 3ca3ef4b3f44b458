#!/usr/bin/python3
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""runc for a host that lacks CAP_SYS_RESOURCE: asks for nothing that only this capability can give.

An OCI runtime is a command. This one takes the capability, resource limits and a negative oom_score_adj out of what it
is handed, then becomes runc. Only the standard library, and nothing of the project: the container engine runs it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Optional

RUNC = "/usr/sbin/runc"
_CAPABILITY = "CAP_SYS_RESOURCE"


def without_resources(process: dict[str, Any]) -> dict[str, Any]:
    """The process of an OCI runtime specification, so that it can be started without the capability."""
    changed = {key: value for key, value in process.items() if key != "rlimits"}
    if process.get("oomScoreAdj", 0) < 0:
        del changed["oomScoreAdj"]
    if process.get("capabilities"):
        changed["capabilities"] = {
            kind: [name for name in names or [] if name != _CAPABILITY] for kind, names in process["capabilities"].items()
        }
    return changed


def _value(arguments: list[str], *names: str) -> Optional[str]:
    for number, word in enumerate(arguments):
        if word in names:
            return arguments[number + 1]
        if word.split("=")[0] in names:
            return word.partition("=")[2]
    return None


def main(arguments: list[str]) -> None:
    if "exec" in arguments:
        process = _value(arguments, "--process", "-p")
        if process:
            path = Path(process)
            path.write_text(json.dumps(without_resources(json.loads(path.read_text()))))
    elif {"create", "run"} & set(arguments):
        path = Path(_value(arguments, "--bundle", "-b") or ".") / "config.json"
        specification = json.loads(path.read_text())
        path.write_text(json.dumps({**specification, "process": without_resources(specification["process"])}))
    os.execv(RUNC, [RUNC, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
