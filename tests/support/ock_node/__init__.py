# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in of the OCK boot image, for machines that reach package registries only (Debian, the Go module proxy).

What counts is as in OCK: it boots by UEFI, is configured by the real Ignition at its first boot, has the units ocne, crio,
kubelet and ocne-update, Kubernetes' programs, and the images of its components under OCK's names. What differs: it is
Debian, containerd runs as crio.service, its disk is no ostree deployment, and its control plane is more patient, since
its processor may be emulated.
"""
