# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m tests.support.ock_node: the stand-in of the OCK boot image, made where it is missing; as root."""

from __future__ import annotations

from tests.support.ock_node.image import image

if __name__ == "__main__":
    print(image())
