# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine that leaves the filesystem to a Linux kernel: libguestfs, by its shell, guestfish(1).

An appliance, a small virtual machine, is started for each disk: a second with KVM, 13 to 22 without. It needs no
privilege, and nothing is mounted on the host. guestfish serves any Python; libguestfs' own bindings only the system's.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from uuid import uuid4

from ..errors import BuildError, Unsupported
from .interface import Edit, Entry, FileStat, Filesystem, Partition, RemoveFile, SetUuid, Table, WriteFile

SELINUX = "security.selinux"
_DISK = "/dev/sda"
_TYPES = {"b": "other", "c": "other", "d": "directory", "f": "other", "l": "symlink", "r": "file", "s": "other", "u": "other", "?": "other"}
_LISTING_LIMIT = 32 << 20  # bytes of all paths below a folder
_TIMEOUT = 600  # seconds for one call; starting the appliance by emulation takes a twentieth of that


class GuestfsDisk:
    """A disk image in an appliance; see Disk for the contract."""

    engine = "guestfs"

    def __init__(self, path: Path, writable: bool) -> None:
        """:raises BuildError: libguestfs is missing, does not start, or cannot read the image."""
        self._path = path
        self._mounted = (0, False)
        self._shell = _Shell(path, writable)
        try:
            self.partitions: Sequence[Partition] = self._read_partitions()
            self.table = self._read_table()
        except BaseException:
            self.close()
            raise

    def filesystem(self, label: str) -> Filesystem:
        partition = self._partition(label)
        if partition.filesystem != "xfs":
            found = partition.filesystem or "no known filesystem"
            raise BuildError(f"{self._path}: partition {label!r} holds {found} instead of XFS.", "Take an OCK boot image.")
        return self.open(partition)

    def open(self, partition: Partition) -> Filesystem:
        if not partition.filesystem:
            raise Unsupported(f"{self._path}: partition {partition.label!r} holds no filesystem that libguestfs knows.")
        return _GuestfsFilesystem(self, partition)

    def check(self, edits: Sequence[Edit], timestamp: int) -> None:
        """Only what can be known before the kernel does the work: that the partitions are there."""
        for edit in edits:
            self._partition(edit.partition)

    def apply(self, edits: Sequence[Edit], timestamp: int) -> None:
        self.check(edits, timestamp)
        self.unmount()
        # First the UUIDs: xfs_admin refuses a filesystem whose log is dirty, before anything has changed.
        for edit in edits:
            if isinstance(edit, SetUuid):
                self._set_uuid(self._partition(edit.partition), edit.uuid)
        touched = dict.fromkeys(edit.partition for edit in edits)
        for label in touched:
            for edit in edits:
                if edit.partition == label and not isinstance(edit, SetUuid):
                    self.use(self._partition(label), writable=True)
                    self._change(edit, timestamp)
        self.unmount()
        for label in touched:
            device = f"{_DISK}{self._partition(label).number}"
            if self.call("xfs-repair", device, "nomodify:true").strip() != "0":
                raise BuildError(
                    f"{self._path}: after the edit xfs_repair finds partition {label} damaged.", "Keep the image and report it."
                )
        self.call("sync")
        self._shell.close()

    def close(self) -> None:
        self._shell.close()

    def __enter__(self) -> GuestfsDisk:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, *command: str) -> str:
        """What the guestfish command prints; FileNotFoundError and NotADirectoryError as the kernel says them."""
        return self._shell.call(*command)

    def use(self, partition: Partition, writable: bool = False) -> None:
        """Mount the partition as the appliance's root, so that its absolute symlinks lead where they should."""
        if self._mounted == (partition.number, writable):
            return
        self.unmount()
        options = "rw" if writable else "ro,norecovery" if partition.filesystem == "xfs" else "ro"
        self.call("mount-options", options, f"{_DISK}{partition.number}", "/")
        self._mounted = (partition.number, writable)

    def unmount(self) -> None:
        if self._mounted[0]:
            self.call("umount-all")
            self._mounted = (0, False)

    def upload(self, content: bytes, path: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="ocne-") as file:
            file.write(content)
            file.flush()
            self.call("upload", file.name, path)

    def _partition(self, label: str) -> Partition:
        found = [partition for partition in self.partitions if partition.label == label]
        if len(found) != 1:
            labels = ", ".join(repr(partition.label) for partition in self.partitions)
            message = f"{self._path}: {len(found)} partitions are labelled {label!r} (there are: {labels})."
            raise BuildError(message, "Take an OCK boot image.")
        return found[0]

    def _read_partitions(self) -> list[Partition]:
        try:
            listing = self.call("part-list", _DISK)
        except BuildError as error:
            raise BuildError(
                f"{self._path} has no partition table that can be read ({error.message}).", "Take an OCK boot image."
            ) from error
        partitions = []
        for entry in re.findall(r"part_num: (\d+)\s+part_start: (\d+)\s+part_end: \d+\s+part_size: (\d+)", listing):
            number, start, size = (int(field) for field in entry)
            device = f"{_DISK}{number}"
            label = self.call("part-get-name", _DISK, str(number)).strip()
            kind = self.call("vfs-type", device).strip()
            uuid = self.call("vfs-uuid", device).strip()
            partitions.append(
                Partition(
                    *(number, label, start, size, kind, uuid if kind == "vfat" else uuid.lower()),
                    filesystem_label=self.call("vfs-label", device).strip() if kind else "",
                    partition_type=self.call("part-get-gpt-type", _DISK, str(number)).strip().lower(),
                    partition_uuid=self.call("part-get-gpt-guid", _DISK, str(number)).strip().lower(),
                )
            )
        return partitions

    def _read_table(self) -> Table:
        uuid = self.call("part-get-disk-guid", _DISK).strip().lower()
        return Table(uuid, int(self.call("blockdev-getss", _DISK)), int(self.call("blockdev-getsize64", _DISK)))

    def _set_uuid(self, partition: Partition, uuid: str) -> None:
        try:
            self.call("set-uuid", f"{_DISK}{partition.number}", uuid)
        except BuildError as error:
            if "valuable metadata changes in a log" in error.message:
                raise BuildError(
                    f"{self._path}: the XFS log of partition {partition.label} is dirty: it was not cleanly unmounted.",
                    "Mount and unmount it once, or take an image that was shut down.",
                ) from error
            raise

    def _change(self, edit: WriteFile | RemoveFile, timestamp: int) -> None:
        if isinstance(edit, RemoveFile):
            self.call("rm", edit.path)
            return
        folder = str(PurePosixPath(edit.path).parent)
        self._make_folders(folder, timestamp)
        folder = self.call("realpath", folder).strip()
        path = f"{folder}/{PurePosixPath(edit.path).name}"
        like = _stat(self, path)
        mode, uid, gid = (like.mode, like.uid, like.gid) if like else (edit.mode, 0, 0)
        label = like.selinux if like else self._label_beside(folder)
        new = f"{path}.ocne-new"
        self.upload(edit.content, new)
        self.call("chmod", f"0{mode:o}", new)
        self.call("chown", str(uid), str(gid), new)
        self._set_label(new, label)
        self.call("utimens", new, str(timestamp), "0", str(timestamp), "0")
        self.call("mv", new, path)
        self.call("utimens", folder, str(timestamp), "0", str(timestamp), "0")

    def _make_folders(self, folder: str, timestamp: int) -> None:
        if folder == "/" or self.call("is-dir", folder, "followsymlinks:true").strip() == "true":
            return
        parent = str(PurePosixPath(folder).parent)
        self._make_folders(parent, timestamp)
        self.call("mkdir-mode", folder, "0755")
        above = _stat(self, self.call("realpath", parent).strip())
        self._set_label(folder, above.selinux if above else "")
        self.call("utimens", folder, str(timestamp), "0", str(timestamp), "0")

    def _label_beside(self, folder: str) -> str:
        """The SELinux label of the first regular file in the folder; the folder's own where there is none."""
        for name in sorted(self.call("ls", folder).splitlines()):
            beside = _stat(self, f"{folder}/{name}")
            if beside and beside.type == "file":
                return beside.selinux
        own = _stat(self, folder)
        return own.selinux if own else ""

    def _set_label(self, path: str, label: str) -> None:
        if label:
            # guestfish passes no NUL, which ends the label where the kernel writes it; libselinux reads it without, too.
            self.call("lsetxattr", SELINUX, label, str(len(label)), path)


class _GuestfsFilesystem:
    """One partition; see Filesystem for the contract."""

    def __init__(self, disk: GuestfsDisk, partition: Partition) -> None:
        self.partition = partition
        self._disk = disk

    def stat(self, path: str) -> FileStat:
        self._disk.use(self.partition)
        found = _stat(self._disk, path)
        if found is None:
            raise FileNotFoundError(path)
        return found

    def list(self, path: str) -> Sequence[Entry]:
        self._disk.use(self.partition)
        listing = self._disk.call("readdir", path)
        entries = re.findall(r"ftyp: (.)\s+name: (.*)\n", listing)
        return sorted((Entry(name, _TYPES[kind]) for kind, name in entries if name not in (".", "..")), key=lambda entry: entry.name)

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        self._disk.use(self.partition)
        size = int(self._disk.call("filesize", path))
        if size > limit:
            raise BuildError(f"{path} on partition {self.partition.label} has {size} bytes, more than the {limit} that were expected.")
        with tempfile.TemporaryDirectory(prefix="ocne-") as folder:
            local = Path(folder, "file")
            self._disk.call("download", path, str(local))
            return local.read_bytes()

    def resolve(self, path: str) -> str:
        self._disk.use(self.partition)
        return self._disk.call("realpath", path).strip()

    def find(self, path: str, name: str) -> Sequence[str]:
        self._disk.use(self.partition)
        with tempfile.TemporaryDirectory(prefix="ocne-") as folder:
            listing = Path(folder, "list")
            self._disk.call("find0", path, str(listing))
            if listing.stat().st_size > _LISTING_LIMIT:
                raise BuildError(f"{path} on partition {self.partition.label} has paths of more than {_LISTING_LIMIT} bytes below it.")
            names = listing.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        found = [f"{path.rstrip('/')}/{each.lstrip('/')}" for each in names if each.rpartition("/")[2] == name]
        return sorted(each for each in found if self.stat(each).type in ("file", "symlink"))


def _stat(disk: GuestfsDisk, path: str) -> FileStat | None:
    """The file on the mounted partition; None where there is none."""
    try:
        fields = {key: int(number) for key, number in re.findall(r"st_(\w+): (-?\d+)", disk.call("lstatns", path))}
    except FileNotFoundError:
        return None
    mode = fields["mode"]
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink"))
    kind = next((name for test, name in kinds if test(mode)), "other")
    target = disk.call("readlink", path).rstrip("\n") if kind == "symlink" else ""
    labels = re.findall(rf"attrname: {re.escape(SELINUX)}\s+attrval: (.*)\n", disk.call("lgetxattrs", path))
    label = labels[0].replace("\\x00", "").rstrip("\0") if labels else ""
    return FileStat(kind, stat.S_IMODE(mode), fields["uid"], fields["gid"], fields["size"], fields["nlink"], target, label)


class _Shell:
    """A guestfish that reads commands from a pipe. It ends, and its appliance with it, when this process does."""

    def __init__(self, path: Path, writable: bool) -> None:
        program = shutil.which("guestfish")
        if program is None:
            raise BuildError(
                "libguestfs is not installed: there is no program guestfish.", "Install libguestfs-tools, or use engine: native."
            )
        self._command = [program, "--rw" if writable else "--ro", "--format=qcow2", "-a", str(path)]
        environment = {**os.environ, "LC_ALL": "C"}
        environment.setdefault("LIBGUESTFS_BACKEND", "direct")
        try:
            self._start(environment)
        except BuildError:
            # A /dev/kvm that exists need not work: emulation takes longer and needs nothing.
            if "LIBGUESTFS_BACKEND_SETTINGS" in environment:
                raise
            self._start({**environment, "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"})

    def call(self, *command: str) -> str:
        """What the command prints."""
        mark = f"end of {uuid4()}"
        # With '-' before it a command that fails does not end the shell.
        self._write(f"-{' '.join([command[0], *map(_quoted, command[1:])])}\n-echo {_quoted(mark)}\n")
        printed = self._read_until(mark, command)
        said = [line.partition("libguestfs: error: ")[2] for line in printed.splitlines() if "libguestfs: error: " in line]
        if not said:
            return printed
        if "No such file or directory" in said[0]:
            raise FileNotFoundError(command[-1])
        if "Not a directory" in said[0]:
            raise NotADirectoryError(command[-1])
        raise BuildError(f"libguestfs could not {' '.join(command)}: {' '.join(said)}.")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.stdin.close()  # type: ignore[union-attr]
            try:
                self._process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]

    def _start(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            self._command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            self.call("run")
        except BaseException as error:
            self._process.kill()
            self.close()
            if not isinstance(error, BuildError):
                raise
            hint = "Run libguestfs-test-tool; the kernel in /boot must be readable for this user."
            raise BuildError(f"The appliance of libguestfs does not start: {error.message}", hint) from error

    def _write(self, text: str) -> None:
        try:
            self._process.stdin.write(text.encode("utf-8", "surrogateescape"))  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            raise BuildError("guestfish has ended unexpectedly.", "Run libguestfs-test-tool.") from None

    def _read_until(self, mark: str, command: Sequence[str]) -> str:
        watchdog = threading.Timer(_TIMEOUT, self._process.kill)
        watchdog.start()
        try:
            lines: list[str] = []
            for raw in self._process.stdout:  # type: ignore[union-attr]
                line = raw.decode("utf-8", "surrogateescape")
                if line.rstrip("\n").endswith(mark):
                    return "".join(lines) + line.rstrip("\n")[: -len(mark)]
                lines.append(line)
        finally:
            watchdog.cancel()
        raise BuildError(f"guestfish ended, or said nothing for {_TIMEOUT} s, at {command[0]}: {''.join(lines)[-500:].strip()}.")


def _quoted(argument: str) -> str:
    """The argument as guestfish(1) wants it, 'USING PARAMETERS IN THE SHELL'."""
    escaped = re.sub(r'["\\\x00-\x1f\x7f]', lambda match: f"\\x{ord(match.group()):02x}", argument)
    return f'"{escaped}"'
