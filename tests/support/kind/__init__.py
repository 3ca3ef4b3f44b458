# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Kubernetes in kind, also on machines that reach package registries only (Debian, PyPI, the Go module proxy).

Where kind's released node image can be pulled, that is taken. Elsewhere the node image is built: Kubernetes, etcd,
CoreDNS and kind from their Go modules, all else from Debian.
"""
