# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log (journal): is it clean, and whose is it?

The log is a ring of records. Every sector begins with the number of the round (cycle) in which it was written, so the
head is where the cycle drops. The log is clean where its last record holds nothing but the word that the filesystem was
unmounted. Source: xfs_log_format.h; "XFS Algorithms & Data Structures", chapter "Journaling Log".
"""

from __future__ import annotations

import struct
import uuid
from typing import NamedTuple

from ...errors import BuildError
from .crc32c import crc32c
from .geometry import BLOCK_SIZE
from .ondisk import LogRecord
from .volume import Volume

_SECTOR = 512
_PER_BLOCK = BLOCK_SIZE // _SECTOR
_FORMAT_LINUX_BE = 1
_VERSION_2 = 2
#: Each header sector describes this many bytes of the record's body.
_CYCLE_DATA = 32 << 10
_LARGEST_RECORD = 256 << 10
#: XFS_MAX_LOG_BYTES
_LARGEST_LOG = 2 << 30
#: Bytes of a further header sector (xlog_rec_ext_header) that its checksum covers: the cycle and 64 saved words.
_EXTENDED_HEADER = 4 + 4 * 64
#: Sectors that are read at once.
_READ_AHEAD = 2048
#: The first two words of each sector.
_FIRST_WORDS = struct.Struct(">II504x")

# xlog_op_header: transaction id (4), length (4), client (1), flags (1)
_OPERATION = struct.Struct(">4xIBB")
_LOG_CLIENT, _UNMOUNT = 0xAA, 0x20


class CleanLog(NamedTuple):
    """The last record of a clean log.

    sector: its place, in sectors of 512 bytes from the log's start; header: its first sector; rest: the sectors after it.
    """

    sector: int
    header: bytes
    rest: bytes
    lsn: int


def read_clean_log(volume: Volume) -> CleanLog:
    """The last record; BuildError where the log waits to be replayed, Unsupported where it is not inside the filesystem."""
    geometry = volume.geometry
    if not geometry.log_start:
        raise geometry.unsupported("the XFS filesystem has its log on another device")
    if not geometry.has_extent(geometry.log_start, geometry.log_blocks) or geometry.log_blocks * BLOCK_SIZE > _LARGEST_LOG:
        raise geometry.damage("the log is too large, or outside of it")
    sectors = geometry.log_blocks * _PER_BLOCK
    head, cycle = _find_head(volume, sectors)
    at, header = _last_record(volume, sectors, head)
    record = LogRecord(header)
    rest = _sectors(volume, sectors, at + 1, (head - at - 1) % sectors)
    _check_format(volume, record)
    more_headers = _header_sectors(record) - 1
    length = (more_headers + -(-record.len // _SECTOR)) * _SECTOR
    body = rest[more_headers * _SECTOR :]
    if 0 < head <= at:  # the record goes over the end of the ring, and began a cycle earlier
        cycle -= 1
    if (record.cycle, record.lsn) != (cycle, cycle << 32 | at) or len(rest) != length or record.num_logops != 1 or not _is_unmount(body):
        raise _dirty(volume)
    stored = int.from_bytes(header[LogRecord.CRC : LogRecord.CRC + 4], "little")
    if stored and record_checksum(header, rest) != stored:
        raise geometry.damage("the last record of its log has a wrong checksum")
    if record.fs_uuid != geometry.uuid.bytes:
        raise geometry.damage(f"its log belongs to another filesystem, {uuid.UUID(bytes=record.fs_uuid)}")
    return CleanLog(at, header, rest, record.lsn)


def stamp_uuid(volume: Volume, log: CleanLog, new: uuid.UUID) -> None:
    """Let the last record belong to the new UUID, as the kernel demands at mount."""
    data = bytearray(log.header)
    record = LogRecord(data)
    record.fs_uuid = new.bytes
    if any(data[LogRecord.CRC : LogRecord.CRC + 4]):
        data[LogRecord.CRC : LogRecord.CRC + 4] = record_checksum(bytes(data), log.rest).to_bytes(4, "little")
    block, offset = divmod(log.sector * _SECTOR, BLOCK_SIZE)
    volume.write(volume.geometry.log_start + block, bytes(data), offset)


def record_checksum(header: bytes, rest: bytes) -> int:
    """The checksum over the header, the further headers that the body needs, and the body (xlog_cksum)."""
    record = LogRecord(header)
    crc = crc32c(header[: LogRecord.CRC] + b"\0\0\0\0" + header[LogRecord.CRC + 4 : LogRecord.SIZE])
    more_headers = _header_sectors(record) - 1
    for number in range(min(more_headers, max(-(-record.len // _CYCLE_DATA) - 1, 0))):
        crc = crc32c(rest[number * _SECTOR : number * _SECTOR + _EXTENDED_HEADER], crc)
    body = more_headers * _SECTOR
    return crc32c(rest[body : body + record.len], crc)


def _dirty(volume: Volume) -> BuildError:
    return BuildError(
        f"{volume.geometry.name}: the XFS log is dirty: the filesystem was not unmounted cleanly.",
        "Replay it by mounting and unmounting the filesystem once, or fetch the image again.",
    )


def _sectors(volume: Volume, sectors: int, first: int, count: int) -> bytes:
    """Sectors of the ring, beyond its end from its start again."""
    if first >= sectors:
        first -= sectors
    if first + count > sectors:
        return _sectors(volume, sectors, first, sectors - first) + _sectors(volume, sectors, 0, first + count - sectors)
    low, high = first // _PER_BLOCK, -(-(first + count) // _PER_BLOCK)
    if not count:
        return b""
    data = volume.read(volume.geometry.log_start + low, high - low)
    start = (first - low * _PER_BLOCK) * _SECTOR
    return data[start : start + count * _SECTOR]


def _find_head(volume: Volume, sectors: int) -> tuple[int, int]:
    """(sector after the last one written, its cycle). Every sector is looked at: a clean log has one drop, by one, or to 0."""
    head, first, before = 0, -1, -1
    for start in range(0, sectors, _READ_AHEAD):
        count = min(_READ_AHEAD, sectors - start)
        data = _sectors(volume, sectors, start, count)
        if before == 0 and data == bytes(len(data)):
            continue
        for number, (word, second) in enumerate(_FIRST_WORDS.iter_unpack(data)):
            cycle = second if word == LogRecord.MAGIC else word
            if cycle == before:
                continue
            if before < 0:
                first = cycle
            elif head or cycle not in (0, first - 1):
                raise _dirty(volume)
            else:
                head = start + number
            before = cycle
    if first <= 0:
        raise volume.geometry.unsupported("the XFS log was never written")
    return head, first


def _last_record(volume: Volume, sectors: int, head: int) -> tuple[int, bytes]:
    """The last record header before the head."""
    most = min(_LARGEST_RECORD // _SECTOR + _LARGEST_RECORD // _CYCLE_DATA + 1, sectors)
    before = _sectors(volume, sectors, (head - most) % sectors, most)
    for back in range(1, most + 1):
        sector = before[(most - back) * _SECTOR : (most - back + 1) * _SECTOR]
        if int.from_bytes(sector[:4], "big") == LogRecord.MAGIC:
            return (head - back) % sectors, sector
    raise _dirty(volume)


def _check_format(volume: Volume, record: LogRecord) -> None:
    if record.fmt != _FORMAT_LINUX_BE or record.version != _VERSION_2:
        raise volume.geometry.unsupported(f"the XFS log has format {record.fmt}, version {record.version}")
    if record.h_size > _LARGEST_RECORD or record.len > _LARGEST_RECORD:
        raise volume.geometry.damage(f"a record of its log has {record.len} bytes")


def _header_sectors(record: LogRecord) -> int:
    return max(-(-record.h_size // _CYCLE_DATA), 1)


def _is_unmount(body: bytes) -> bool:
    """Is the first operation the word of an unmount? Its first four bytes have been replaced by the cycle."""
    if len(body) < _OPERATION.size:
        return False
    _transaction, client, flags = _OPERATION.unpack_from(body)
    return client == _LOG_CLIENT and bool(flags & _UNMOUNT)
