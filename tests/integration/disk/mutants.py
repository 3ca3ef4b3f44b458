# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Broken editors: does the engine's own check catch each of them before a byte is written, or else a judge afterwards?

A mutant is a change of one line of a copy of the code. It is tried on fuzz cases, with the engine's check and without it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import newer_xfsprogs
from tests.support.command import ROOT

_DISK = Path("plugins/module_utils/_imagebuild/disk")
#: Seeds whose cases have compressed clusters, reverse mappings, shared blocks, hard links and large directories.
_SEEDS = (11000, 11012)


@dataclass(frozen=True)
class Mutant:
    """old is in the file once. by_check: the engine's own check catches it; what it cannot see, a judge has to."""

    name: str
    file: str
    old: str
    new: str
    by_check: bool = True


_UNCHECKED = (
    Mutant("no check of the plan", "native.py", "check_plan(before, after, changed, {", "_ = ({"),
    Mutant("no check of the outcome", "native.py", "        verify_outcome(", "        _ = ("),
)

MUTANTS = (
    Mutant("blocks of a file are counted wrong", "xfs/editor.py", "inode.disk.nblocks += count", "inode.disk.nblocks += count + 1"),
    Mutant("blocks are lost", "xfs/allocator.py", "self._released.append(Use(", "tuple(Use("),
    Mutant("shared blocks are freed", "xfs/group.py", "drop_reference(self.refcounts, start, count):", "[(start, count)]:"),
    Mutant("a new file has another mode", "xfs/editor.py", "stat.S_IFREG | mode,", "stat.S_IFREG | mode | 0o002,"),
    Mutant("a file is a byte too long", "xfs/editor.py", "inode.disk.size = len(content)", "inode.disk.size = len(content) + 1"),
    Mutant("blocks are used twice", "xfs/group.py", "        take(self.free, start, count)\n", ""),
    Mutant("the superblock's counters stay", "xfs/allocator.py", "sb.icount, sb.ifree, sb.fdblocks = self._totals()", "self._totals()"),
    Mutant("the longest free extent is wrong", "xfs/group.py", "max(counts, default=0)", "min(counts, default=0)"),
    Mutant(
        "full chunks are in the free inode tree",
        "xfs/group.py",
        "zip(self.chunks, states) if state.free]\n            self.fino",
        "zip(self.chunks, states)]\n            self.fino",
    ),
    Mutant("the log keeps the old UUID", "xfs/editor.py", "log.stamp_uuid(self._volume, self._log, self._uuid)", "self._log"),
    Mutant("one superblock keeps the old UUID", "xfs/superblock.py", "range(volume.geometry.group_count)", "range(1)"),
    Mutant(
        "a free piece is noted too short",
        "xfs/dirlayout.py",
        'struct.pack(">HH8x", offset, free)',
        'struct.pack(">HH8x", offset, free - 8)',
    ),
    Mutant("the hash index is not in order", "xfs/dirlayout.py", "    index.sort()\n", "    index.sort(reverse=True)\n"),
    Mutant("a link too many", "xfs/editor.py", "            inode.disk.nlink -= 1\n", ""),
    Mutant("a directory has a link too few", "xfs/editor.py", "            directory.disk.nlink += 1\n", ""),
    Mutant("a new file has no label", "xfs/editor.py", "        set_label(inode, label)", '        set_label(inode, b"")'),
    Mutant("an inode stays in use", "xfs/allocator.py", "self._freed.append(inode.ino)", "inode.ino"),
    Mutant(
        "a reverse mapping is missing",
        "xfs/group.py",
        "add_mapping(self.mappings.setdefault(owner, []), ReverseMapping(",
        "tuple(ReverseMapping(",
    ),
    Mutant(
        "content goes to a wrong block",
        "xfs/editor.py",
        "self._volume.write(extent.fsbno + number,",
        "self._volume.write(extent.fsbno + number + 1,",
    ),
    Mutant(
        "a tree's leaf lacks a record",
        "xfs/btree.py",
        "len(content) // 2 if level else len(content)",
        "len(content) // 2 if level else max(len(content) - 1, 0)",
    ),
    Mutant(
        "blocks of a shrunk directory are lost",
        "xfs/editor.py",
        "            self._allocator.release(inode, Extent(number, fsbno, 1))",
        "            tuple((number, fsbno))",
    ),
    Mutant("blocks are written without checksum", "xfs/volume.py", "        seal(data, crc_offset)\n", ""),
    Mutant(
        "blocks of attributes are lost",
        "xfs/editor.py",
        "((inode.mapping(), 0), (inode.attr_mapping(), RMAP_ATTR))",
        "((inode.mapping(), 0),)",
    ),
    Mutant("a name leads to a wrong inode", "xfs/editor.py", "Name(name, inode.ino, FILE", "Name(name, inode.ino + 1, FILE"),
    Mutant(
        "files are patched in place",
        "xfs/allocator.py",
        "            start = group.allocate(count, inode.ino, offset)",
        "            start = 40",
    ),
    Mutant(
        "new clusters are not counted",
        "qcow2.py",
        "        self._set(offset, 1)\n        return offset",
        "        return offset",
        by_check=False,
    ),
    Mutant("old compressed clusters stay counted", "qcow2.py", "            self._refcounts.release(start, length)\n", "", by_check=False),
    Mutant(
        "an L2 entry leads to a wrong cluster",
        "qcow2.py",
        "self._table(index)[slot] = place | _COPIED",
        "self._table(index)[slot] = place - self._header.cluster_size | _COPIED",
    ),
)


def _tried(folder: Path, mutants: tuple[Mutant, ...]) -> str:
    """The first result that is not 'ok', of a copy of the code with these changes; '' where all cases were ok."""
    shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", ".cache", ".git", "output")
    for part in ("plugins", "tests"):
        shutil.copytree(ROOT / part, folder / "code" / part, ignore=ignored)
    for mutant in mutants:
        file = folder / "code" / _DISK / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise ValueError(f"mutant {mutant.name!r}: its line is in {mutant.file} {text.count(mutant.old)} times")
        file.write_text(text.replace(mutant.old, mutant.new))
    command = [sys.executable, "-m", "tests.integration.disk", "--folder", folder / "disks", "fuzz", *map(str, _SEEDS), "--until-failure"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OCNE_XFSPROGS_NEWER": str(newer_xfsprogs.folder())}
    done = subprocess.run(list(map(str, command)), cwd=folder / "code", stdout=subprocess.PIPE, env=environment, check=False)
    shutil.rmtree(folder)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    if not lines:
        raise ValueError(f"mutant {mutants[0].name!r} does not run")
    for line in lines:
        result = str(line.get("result", "ok"))
        if not result.startswith(("ok", "SKIPPED")):
            return result
    return ""


def main(folder: Path, only: str) -> int:
    """Try all mutants; 1 where one of them gets through."""
    missed = 0
    for mutant in MUTANTS:
        if only not in mutant.name:
            continue
        checked = _tried(folder / "mutant", (mutant,))
        unchecked = _tried(folder / "mutant", (mutant, *_UNCHECKED))
        caught = checked.startswith("REFUSED") if mutant.by_check else bool(checked)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'}: {mutant.name}", flush=True)
        for name, result in (("with the check", checked), ("without it", unchecked)):
            print(f"    {name}: {result.splitlines()[0][:150] if result else 'not seen'}", flush=True)
    return int(bool(missed))
