# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m tests.support.oci_endpoint --state DIR: prints a line of JSON (see Endpoint.describe) and serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from dataclasses import fields
from pathlib import Path

from .context import Settings
from .endpoint import Endpoint


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.oci_endpoint", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="folder for configuration, keys, bytes and the request log"
    )
    parser.add_argument(
        "--compartment", action="append", default=[], metavar="PATH", help="a compartment to make, as team/images; may be repeated"
    )
    parser.add_argument("--tls", action="store_true", help="speak https; clients have to trust ca_file")
    for item in fields(Settings):
        if item.name in ("uri_only_kinds", "delete_while_importing"):
            continue
        kind = type(getattr(Settings(), item.name))
        parser.add_argument("--" + item.name.replace("_", "-"), type=kind, default=getattr(Settings(), item.name))
    options = vars(parser.parse_args())
    settings = Settings(**{item.name: options[item.name] for item in fields(Settings) if item.name in options})
    endpoint = Endpoint(options["state"].absolute(), options["host"], options["port"], settings, options["tls"])
    compartments = {path: endpoint.add_compartment(path) for path in options["compartment"]}
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_arguments: ended.set())
    with endpoint:
        print(json.dumps({**endpoint.describe(), "compartments": compartments}), flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
