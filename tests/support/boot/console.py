# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine's console tells of a boot that went wrong: the failures that Fedora CoreOS' kola looks for, and those of our parts."""

from __future__ import annotations

import re

#: By what is wrong, how the console says it.
FAILURES = {
    "firmware finds nothing to boot": r"BdsDxe: failed to (load|start) Boot|No bootable option or device was found",
    "GRUB fails": r"(?m)^error: ",
    "GRUB waits for commands": r"grub( rescue)?> ",
    "GRUB's memory is corrupt": r"(alloc|free) magic (is )?broken",
    "kernel panic": r"Kernel panic - not syncing",
    "kernel oops": r"Oops: |BUG: (unable to handle|kernel NULL pointer)|general protection fault",
    "kernel warning": r"WARNING: CPU: \d+ PID: \d+ at ",
    "CPU is stuck": r"BUG: soft lockup|hard LOCKUP|detected stalls on CPUs",
    "task is stuck": r"INFO: task \S+ blocked for more than \d+ seconds",
    "out of memory": r"invoked oom-killer|Out of memory: Killed process",
    "disk does not answer": r"rejecting I/O to offline device|I/O error, dev ",
    "file system is damaged": r"XFS \([^)]*\): (.*[Cc]orruption|Internal error|.*has been shut down|.*recovery failed)|EXT4-fs error",
    "no root file system": r"ALERT!\s+\S+ does not exist|VFS: (Cannot open root|Unable to mount root)|mounting \S+ on /root failed",
    "initial file system gives up": r"Dropping to a shell|\(initramfs\) |dracut: Refusing|dracut-initqueue.*timeout|No init found",
    "no ostree deployment": r"ostree-prepare-root failed|Couldn't find specified OSTree root",
    "Ignition fails": r"Ignition failed|ignition\[\d+\]: failed to fetch config",
    "emergency mode": r"You are in (emergency|rescue) mode|Press Enter for emergency shell|Starting Emergency Shell",
    "unit failed": r"\[FAILED\]|Failed to start ",
    "unit waits for what is not there": r"\[ TIME \]|Timed out waiting for device|\[DEPEND\]|Dependency failed for ",
    "units wait for each other": r"[Oo]rdering cycle",
    "generator of units failed": r"/system-generators/\S+ (failed with exit status|terminated by signal|failed due to unknown reason)",
    "systemd does not go on": r"Freezing execution",
    "initial file system is not left": r"initrd-cleanup\.service: Main process exited, code=killed",
    "program crashed": r"segfault at |SIGSEGV|=11/SEGV|[Cc]ore dump",
    "Go program crashed": r"(?m)^(panic|fatal error): ",
}
#: Colours, and where the cursor goes.
_ESCAPE = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][0-9A-B]|[=>78cM])|\r")


def failures(console: str) -> dict[str, str]:
    """What is wrong, and the first line that says so."""
    text = _ESCAPE.sub("", console)
    found = {}
    for kind, pattern in FAILURES.items():
        match = re.search(pattern, text)
        if match:
            start = text.rfind("\n", 0, match.start()) + 1
            found[kind] = text[start : text.find("\n", match.end()) % (len(text) + 1)].strip()
    return found
