# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build program that makes a boot image for a provider: bring the disk image here, change it, tell its digest."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import posixpath
import shutil
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Callable

from .conversion import TIMESTAMP, Conversion, Options, plan_conversion
from .disk.device import HostFile
from .disk.engines import with_disk
from .disk.gpt import EFI_SYSTEM, read_gpt
from .disk.image import open_image
from .disk.interface import Disk
from .disk.native import open_native
from .disk.qcow2_extents import inspect_header
from .disk.qcow2_header import VIRTUAL_SIZE_LIMIT
from .errors import BuildError, Unsupported
from .layout import Image
from .progress import Progress, silent
from .streams import CHUNK
from .tarstream import REGULAR

#: Where an image keeps its disk: the containerDisk convention, https://kubevirt.io/user-guide/storage/disks_and_volumes/#containerdisk
DISK_FOLDER = "disk"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_WHITEOUTS = 1000
_FICLONE = 0x40049409  # linux/fs.h


@dataclass(frozen=True)
class Built:
    """A boot image that was made.

    :param engine: which engine edited the disk.
    :param engine_reason: why it was not the native one; '' where it was, or where another was asked for.
    """

    sha256: str
    size: int
    engine: str
    engine_reason: str
    changes: dict[str, Any]


def build(source: Image | Path, source_digest: str, options: Options, engine: str, output: Path, progress: Progress = silent) -> Built:
    """Make the boot image.

    :param source: a container image that holds a qcow2 in disk/, or a qcow2 file.
    :param engine: 'native', 'guestfs', or 'auto': native, and guestfs for what that refuses.
    :param output: written anew, mode 0600; not yet on disk for good: publishing it is the caller's.
    :raises BuildError: with the output in an undefined state.
    """
    try:
        if isinstance(source, Path):
            inspect_header(source)
            copy_file(source, output, progress)
        else:
            extract_disk(source, lambda: private_file(output), progress)
            inspect_header(output)
        progress("changing the disk", 0, None)
        conversion, used, reason = convert(output, options, source_digest, engine)
        return Built(_sha256(output, progress), output.stat().st_size, used, reason, conversion.changes)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildError(f"No space is left for {output} ({error.strerror}).", "Free some space, or choose another folder.") from error
        raise


def convert(path: Path, options: Options, source_digest: str, engine: str) -> tuple[Conversion, str, str]:
    """Change the disk image in place. Returns what was changed, the engine, and why it was not the native one."""

    def edit(disk: Disk) -> Conversion:
        conversion = plan_conversion(disk, options, source_digest)
        disk.apply(conversion.edits, TIMESTAMP)
        return conversion

    return with_disk(path, engine, True, edit)


def preview(path: Path, options: Options, source_digest: str) -> dict[str, Any]:
    """The changes that a conversion of this disk image would make. Nothing is written.

    :raises Unsupported: it cannot be known without the guestfs engine, which takes its time.
    """
    inspect_header(path)
    with open_native(path, False) as disk:
        conversion = plan_conversion(disk, options, source_digest)
        disk.check(conversion.edits, TIMESTAMP)
        return conversion.changes


def check_bootable(path: Path) -> None:
    """See that UEFI firmware finds something to boot from on the disk image, as far as its partition table tells.

    :raises BuildError: it does not.
    """
    with closing(HostFile(path, False)) as file:
        try:
            partitions = read_gpt(open_image(file)).entries
        except Unsupported:
            return  # another reader may know it
    if not any(partition.type == EFI_SYSTEM for partition in partitions):
        raise BuildError(f"{path}: it has no EFI system partition.", "Give the disk image of a machine that boots by UEFI.")


#: Opens the file that a disk is written to.
Create = Callable[[], AbstractContextManager[IO[bytes]]]


class NoDisk(BuildError):
    """The image holds no disk."""


def extract_disk(image: Image, create: Create, progress: Progress = silent) -> None:
    """Write the image's disk/*.qcow2 to a file. The uppermost layer that has it counts, as in a running container.

    :param create: called once a disk is found, before the layer that it comes from is wholly verified.
    :raises NoDisk: there is none.
    :raises BuildError: there are several, or a layer is damaged.
    """
    hidden: set[str] = set()
    for index in reversed(range(len(image.layers))):
        found, gone = _extract_from_layer(image, index, hidden, create, progress)
        if found:
            return
        if _OPAQUE in gone:
            break
        hidden |= {name[len(_WHITEOUT) :] for name in gone}
    raise NoDisk(f"Image {image.digest} holds no {DISK_FOLDER}/*.qcow2 in its {len(image.layers)} layers.", "Choose an OCK boot image.")


def _extract_from_layer(image: Image, index: int, hidden: set[str], create: Create, progress: Progress) -> tuple[list[str], set[str]]:
    """Names of disks found in the layer (the one is written), and names of its whiteouts in disk/."""
    found: list[str] = []
    gone: set[str] = set()
    with image.open_layer(index, progress) as layer:
        for member in layer:
            folder, name = posixpath.split(posixpath.normpath(member.name.decode("utf-8", "replace")))
            if folder != DISK_FOLDER:
                continue
            if name.startswith(_WHITEOUT):
                gone.add(name)
            elif name.endswith(".qcow2") and name not in hidden:
                what = f"{DISK_FOLDER}/{name} in image {image.digest}"
                if member.type != REGULAR:
                    raise BuildError(f"{what} is no regular file.", "Choose an OCK boot image.")
                if member.size > VIRTUAL_SIZE_LIMIT:
                    raise BuildError(
                        f"{what} has {member.size} bytes, more than the limit of {VIRTUAL_SIZE_LIMIT}.", "Choose another image."
                    )
                found.append(name)
                if len(found) > 1:
                    raise BuildError(f"Image {image.digest} holds several disks: {', '.join(found)}.", "Choose an OCK boot image.")
                with create() as file:
                    while chunk := layer.read(CHUNK):
                        file.write(chunk)
            if len(gone) + len(hidden) > _MOST_WHITEOUTS:
                raise BuildError(
                    f"Image {image.digest} removes more than {_MOST_WHITEOUTS} files of {DISK_FOLDER}/.", "Choose an OCK boot image."
                )
    return found, gone


def copy_file(source: Path, output: Path, progress: Progress = silent) -> None:
    """Copy a file: its blocks are shared where the filesystem can do that, else copied by the kernel.

    :raises BuildError: the source was changed meanwhile.
    """
    with source.open("rb") as reader, private_file(output) as writer:
        before = os.fstat(reader.fileno())
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            _copy_ranges(reader.fileno(), writer.fileno(), before.st_size, progress)
        after = os.fstat(reader.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise BuildError(f"{source} was changed while it was copied.", "Run again when it is complete.")


def _copy_ranges(reader: int, writer: int, size: int, progress: Progress) -> None:
    done = 0
    try:
        while done < size and (count := os.copy_file_range(reader, writer, min(size - done, 64 * CHUNK))):
            done += count
            progress("copying", done, size)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
    with os.fdopen(os.dup(reader), "rb") as source, os.fdopen(os.dup(writer), "wb") as target:
        source.seek(done)
        target.seek(done)
        shutil.copyfileobj(source, target, CHUNK)


def private_file(output: Path) -> Any:
    """A new file that only its owner can read, at the place of what is there."""
    output.unlink(missing_ok=True)
    return os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _sha256(path: Path, progress: Progress) -> str:
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress("computing the digest", done, size)
    return digest.hexdigest()
