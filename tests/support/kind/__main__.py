# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m tests.support.kind up|down|tools: a cluster for tests, as root; 'tools' makes the machine ready for one."""

from __future__ import annotations

import argparse
import json
import sys

from tests.support.kind import cluster
from tests.support.machine import SetupError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.kind", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "tools"))
    parser.add_argument("--name", default=cluster.NAME)
    options = parser.parse_args()
    try:
        if options.command == "down":
            cluster.down(options.name)
            return
        found = cluster.tools() if options.command == "tools" else cluster.up(options.name)
    except SetupError as error:
        sys.exit(f"This machine cannot be made ready: {error}")
    kubeconfig = {"kubeconfig": str(cluster.KUBECONFIG)} if options.command == "up" else {}
    print(json.dumps({"node_image": found.node_image, "environment": found.environment, **kubeconfig}))


if __name__ == "__main__":
    main()
