# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of a filesystem, planned in memory: write and remove files, set the UUID.

Nothing is patched: a file gets new blocks, a directory a new layout, a tree of an allocation group a new cut. Directories
and groups are held as they are to be, and become blocks in finish().
"""

from __future__ import annotations

import stat
import uuid

from ...errors import BuildError
from . import log, superblock
from .allocator import Allocator
from .crc32c import crc32c
from .directory import Directory, Name, directory_places
from .dirlayout import lay_out
from .extents import Extent, join_extents
from .geometry import BLOCK_SIZE
from .inode import EXTENTS, FILE_TYPES, FLAG2_BIGTIME, FLAG2_NREXT64, FLAG2_REFLINK, LOCAL, PREALLOCATED, Inode, format_inode
from .ondisk import Dinode
from .records import RMAP_ATTR, RMAP_BMBT
from .tree import Location, Tree
from .volume import Volume
from .xattr import read_label, set_label

_DIRECTORY_MODE = stat.S_IFDIR | 0o755
_LONGEST_NAME = 255


class Editor:
    """One set of changes. Raises BuildError and Unsupported like the readers; the volume is of no use after that.

    :param timestamp: seconds since the epoch, for the times that change.
    """

    def __init__(self, volume: Volume, timestamp: int) -> None:
        self._volume, self._timestamp = volume, timestamp
        self._tree = Tree(volume)
        geometry = volume.geometry
        if geometry.has_realtime:
            raise geometry.unsupported("the XFS filesystem has a realtime section")
        if superblock.read_superblock(volume, 0).qflags:
            raise geometry.unsupported("the XFS filesystem keeps quotas")
        self._log = log.read_clean_log(volume)
        self._allocator = Allocator(volume, self._log.lsn)
        self._uuid: uuid.UUID | None = None

    def set_uuid(self, new: uuid.UUID) -> None:
        self._uuid = new

    def write_file(self, path: bytes, content: bytes, mode: int) -> None:
        """Make this the content of a regular file; a new one gets the mode and its neighbour's label."""
        location = self._tree.walk(path)
        if location.dangling:
            raise BuildError(f"{self._volume.geometry.name}: {_shown(path)} leads through a symbolic link to what does not exist.")
        if location.missing:
            directory = self._make_directories(location)
            self._create(directory, location.missing[-1], content, stat.S_IFREG | mode, 0, 0, self._neighbours_label(directory))
            return
        inode = location.inode
        if inode.type != stat.S_IFREG:
            raise BuildError(f"{self._volume.geometry.name}: {_shown(path)} is no regular file.")
        inode.refuse_special()
        if inode.disk.nlink == 1:
            self._replace(inode, content)
        else:  # its other names keep the old content
            disk = inode.disk
            mode, uid, gid, label = disk.mode, disk.uid, disk.gid, read_label(inode)
            self.remove_file(location.path)
            parent = self._tree.lookup(b"/" + b"/".join(location.parts[:-1])).inode
            self._create(parent, location.parts[-1], content, mode, uid, gid, label)

    def remove_file(self, path: bytes) -> None:
        """Unlink a regular file or a symbolic link."""
        location = self._tree.lookup(path, follow=False)
        inode = location.inode
        if inode.type not in (stat.S_IFREG, stat.S_IFLNK):
            raise BuildError(f"{self._volume.geometry.name}: {_shown(path)} is no regular file.")
        inode.refuse_special()
        directory = self._tree.lookup(b"/" + b"/".join(location.parts[:-1])).inode
        old = self._tree.directory(directory)
        name = location.parts[-1]
        self._change(directory, {key: entry for key, entry in old.names.items() if key != name})
        if inode.disk.nlink > 1:
            inode.disk.nlink -= 1
            inode.touch(self._timestamp, "ctime")
            inode.store()
        else:
            self._free(inode)

    def finish(self) -> dict[int, bytes]:
        """The whole plan: {byte offset in the partition: bytes}."""
        for ino, content in self._tree.planned.items():
            directory = self._tree.inode(ino)
            self._lay_out(directory, content)
            directory.touch(self._timestamp, "mtime", "ctime")
            directory.store()
        self._allocator.store()
        if self._uuid:
            superblock.stamp_uuid(self._volume, self._uuid)
            log.stamp_uuid(self._volume, self._log, self._uuid)
        return self._volume.writes()

    # ---- files

    def _create(self, directory: Inode, name: bytes, content: bytes, mode: int, uid: int, gid: int, label: bytes) -> None:
        inode = self._new_inode(directory, mode, uid, gid, label)
        self._fill(inode, content)
        inode.store()
        self._link(directory, name, inode)

    def _new_inode(self, directory: Inode, mode: int, uid: int, gid: int, label: bytes) -> Inode:
        free = self._allocator.allocate_inode(directory.ino)
        if free.disk.mode:
            raise free.damage("is counted as free, but in use")
        geometry = self._volume.geometry
        generation = crc32c(free.ino.to_bytes(8, "big"), free.disk.gen)
        inode = format_inode(self._volume, free.ino, generation, free.disk.lsn)
        disk = inode.disk
        disk.mode, disk.format, disk.nlink, disk.uid, disk.gid = mode, EXTENTS, 1, uid, gid
        disk.flags2 = (FLAG2_BIGTIME if geometry.bigtime else 0) | (FLAG2_NREXT64 if geometry.large_extent_counts else 0)
        set_label(inode, label)
        inode.touch(self._timestamp, "atime", "mtime", "ctime", "crtime")
        return inode

    def _fill(self, inode: Inode, content: bytes) -> None:
        """Give an empty data fork this content."""
        count = -(-len(content) // BLOCK_SIZE)
        extents = [self._allocator.allocate(inode, 0, count)] if count else []
        for extent in extents:
            for number in range(count):
                piece = content[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE]
                self._volume.write(extent.fsbno + number, piece.ljust(BLOCK_SIZE, b"\0"))
        inode.set_extents(extents)
        inode.disk.size = len(content)
        inode.disk.nblocks += count

    def _replace(self, inode: Inode, content: bytes) -> None:
        """New blocks for the content; the old ones are given back."""
        old = inode.mapping()
        self._fill(inode, content)
        for extent in old.extents:
            self._allocator.release(inode, extent)
        for block in old.tree_blocks:
            self._allocator.release(inode, Extent(0, block, 1), RMAP_BMBT)
        inode.disk.nblocks -= sum(extent.blocks for extent in old.extents) + len(old.tree_blocks)
        inode.disk.flags &= ~PREALLOCATED
        inode.disk.flags2 &= ~FLAG2_REFLINK
        inode.touch(self._timestamp, "mtime", "ctime")
        inode.store()

    def _free(self, inode: Inode) -> None:
        """Give the inode and all its blocks back."""
        for mapping, flag in ((inode.mapping(), 0), (inode.attr_mapping(), RMAP_ATTR)):
            for extent in mapping.extents:
                self._allocator.release(inode, extent, flag)
            for block in mapping.tree_blocks:
                self._allocator.release(inode, Extent(0, block, 1), flag | RMAP_BMBT)
        self._allocator.free_inode(inode)
        disk = inode.disk
        disk.mode = disk.nlink = disk.size = disk.nblocks = disk.flags = disk.forkoff = 0
        disk.big_nextents = disk.nextents = disk.anextents = 0
        disk.format = disk.aformat = EXTENTS
        disk.flags2 &= FLAG2_BIGTIME | FLAG2_NREXT64
        disk.gen = (disk.gen + 1) & 0xFFFFFFFF
        inode.raw[Dinode.SIZE :] = bytes(inode.literal_size)
        inode.touch(self._timestamp, "ctime")
        inode.store()

    # ---- directories

    def _make_directories(self, location: Location) -> Inode:
        """The directory of the last missing component; those before it are made."""
        directory = location.inode
        if directory.type != stat.S_IFDIR:
            raise BuildError(f"{self._volume.geometry.name}: {_shown(location.path)} is no directory.")
        for name in location.missing:
            if name == b".." or len(name) > _LONGEST_NAME or b"\0" in name:
                raise BuildError(f"{self._volume.geometry.name}: {_shown(name)!r} cannot be the name of a new file.")
        for name in location.missing[:-1]:
            new = self._new_inode(directory, _DIRECTORY_MODE, 0, 0, read_label(directory))
            new.disk.nlink = 2
            new.store()
            self._tree.planned[new.ino] = Directory(directory.ino, {})
            directory.disk.nlink += 1
            directory.store()
            self._link(directory, name, new)
            directory = new
        return directory

    def _neighbours_label(self, directory: Inode) -> bytes:
        """The label of the first regular file by name, else the directory's."""
        regular = FILE_TYPES[stat.S_IFREG]
        files = [entry for entry in self._tree.directory(directory).names.values() if entry.type == regular]
        return read_label(self._tree.inode(min(files).ino) if files else directory)

    def _link(self, directory: Inode, name: bytes, inode: Inode) -> None:
        names = self._tree.directory(directory).names
        self._change(directory, {**names, name: Name(name, inode.ino, FILE_TYPES[inode.type])})

    def _change(self, directory: Inode, names: dict[bytes, Name]) -> None:
        directory.refuse_special()
        if directory.mapping().tree_blocks:
            raise self._volume.geometry.unsupported(f"the directory of inode {directory.ino} is too fragmented")
        self._tree.planned[directory.ino] = Directory(self._tree.directory(directory).parent, names)

    def _lay_out(self, inode: Inode, content: Directory) -> None:
        """Write a directory anew: in the blocks that it has, more, or less."""
        geometry = self._volume.geometry
        layout = lay_out(inode.ino, content.parent, content.names.values(), inode.data_fork_size)
        if layout is None:
            raise geometry.unsupported(f"the directory of inode {inode.ino} is too large")
        places = directory_places(inode)
        had = len(places)
        kept = {}
        for number, block in layout.blocks.items():
            fsbno = places.pop(number, None) or self._allocator.allocate(inode, number, 1).fsbno
            block.blkno, block.lsn, block.owner, block.uuid = geometry.daddr(fsbno), self._log.lsn, inode.ino, geometry.metadata_uuid
            self._volume.write_sealed(fsbno, block.writable, block.CRC)
            kept[number] = fsbno
        for number, fsbno in places.items():
            self._allocator.release(inode, Extent(number, fsbno, 1))
        if layout.short_form:
            inode.set_data_fork(LOCAL, layout.short_form)
        else:
            inode.set_extents(join_extents([Extent(number, fsbno, 1) for number, fsbno in kept.items()]))
        inode.disk.size, inode.disk.nblocks = layout.size, inode.disk.nblocks - had + len(kept)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")
