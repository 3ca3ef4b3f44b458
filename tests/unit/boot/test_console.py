# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judge of consoles: each failure that it knows, as machines tell it, and a boot in which nothing is wrong."""

from __future__ import annotations

import pytest

from tests.support.boot.console import FAILURES, failures

CLEAN = """\
BdsDxe: loading Boot0001 "UEFI QEMU QEMU HARDDISK " from PciRoot(0x0)/Pci(0x2,0x0)/Scsi(0x0,0x0)\r
\x1b[0m\x1b[30m\x1b[47mWelcome to GRUB!\r
[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)\r
[    0.000000] Kernel command line: BOOT_IMAGE=/vmlinuz root=UUID=42cfbd53-1699-56b9-b8d4-48b4ffb855e5 systemd.firstboot=off\r
[    1.917579] ERST DBG: ERST support is disabled.\r
[   31.805301] XFS (sda2): Ending clean mount\r
[\x1b[0;32m  OK  \x1b[0m] Mounted \x1b[0;1;39mboot.mount\x1b[0m - /boot.\r
[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39memergency-none.target\x1b[0m.\r
[   98.000000] reboot: Power down\r
"""

SAMPLES = {
    "firmware finds nothing to boot": 'BdsDxe: failed to load Boot0001 "UEFI QEMU QEMU HARDDISK " from PciRoot(0x0): Not Found',
    "GRUB fails": "\x1b[0m\x1b[37m\x1b[40merror: no such partition.",
    "GRUB waits for commands": "\x1b[24;1Hgrub rescue> ",
    "GRUB's memory is corrupt": "alloc magic is broken at 0x7ff5e0c0: 0",
    "kernel panic": "[    3.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
    "kernel oops": "[    3.1] Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "kernel warning": "[    3.1] WARNING: CPU: 1 PID: 42 at fs/xfs/xfs_trans.c:271 xfs_trans_alloc+0x1/0x2 [xfs]",
    "CPU is stuck": "[   63.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]",
    "task is stuck": "[  243.1] INFO: task mount:211 blocked for more than 120 seconds.",
    "out of memory": "[   30.1] systemd-udevd invoked oom-killer: gfp_mask=0x140dca, order=0, oom_score_adj=0",
    "disk does not answer": "[   30.1] sd 2:0:0:0: [sda] tag#1 rejecting I/O to offline device",
    "file system is damaged": "[   30.1] XFS (sda3): Metadata corruption detected at xfs_agi_verify+0x12, xfs_agi block 0x2",
    "no root file system": "ALERT!  UUID=00000000-0000-0000-0000-00000000dead does not exist.  Dropping to a shell!",
    "initial file system gives up": "[   99.1] dracut-initqueue[312]: Warning: dracut-initqueue: timeout, still waiting",
    "no ostree deployment": "ostree-prepare-root: Couldn't find specified OSTree root '/root//ostree/boot.1/ock/0'",
    "Ignition fails": "[   12.1] ignition[701]: failed to fetch config: context canceled",
    "emergency mode": 'You are in emergency mode. After logging in, type "journalctl -xb" to view system logs',
    "unit failed": "[\x1b[0;1;31mFAILED\x1b[0m] Failed to start \x1b[0;1;39mostree-remount.service\x1b[0m - OSTree Remount.",
    "unit waits for what is not there": "[\x1b[0;1;31m TIME \x1b[0m] Timed out waiting for device \x1b[0;1;39mdev-disk-by.device\x1b[0m.",
    "units wait for each other": "[    9.1] systemd[1]: sysinit.target: Found ordering cycle on local-fs.target/start",
    "generator of units failed": "(sd-executor)[201]: /usr/lib/systemd/system-generators/fstab-generator failed with exit status 1.",
    "systemd does not go on": "[!!!!!!] Freezing execution.",
    "initial file system is not left": "[    9.1] systemd[1]: initrd-cleanup.service: Main process exited, code=killed, status=15/TERM",
    "program crashed": "[   40.1] nmcli[442]: segfault at 0 ip 00007f3a error 4 in libc.so.6",
    "Go program crashed": "panic: runtime error: invalid memory address or nil pointer dereference",
}


def test_a_boot_in_which_nothing_is_wrong() -> None:
    assert failures(CLEAN) == {}
    assert failures("") == {}


def test_each_failure_has_its_sample() -> None:
    assert set(SAMPLES) == set(FAILURES)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_found_between_lines_that_tell_none(kind: str) -> None:
    found = failures(f"{CLEAN}{SAMPLES[kind]}\r\n{CLEAN}")
    assert kind in found
    for line in found.values():
        assert line in SAMPLES[kind] or "\x1b" in SAMPLES[kind]
        assert "\n" not in line and "\x1b" not in line


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_found_in_the_last_line_while_it_is_written(kind: str) -> None:
    assert kind in failures(CLEAN + SAMPLES[kind])
