# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directory trees of every shape, made by the kernel on a mounted filesystem."""

from __future__ import annotations

import fcntl
import os
import random
from pathlib import Path

from .xfs_tools import run

_FICLONE = 0x40049409
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_."
_LABELS = [f"system_u:object_r:{kind}_t:s0" for kind in ("etc", "boot", "usr", "shadow")]

#: Always there, for the edits that every conversion makes.
BOOT_ENTRY, FSTAB, MACHINE_ID = "/boot/loader.1/entries/ostree-1-ock.conf", "/etc/fstab", "/etc/machine-id"


def random_name(dice: random.Random) -> str:
    length = dice.choice([1, 3, 5, 8, 12, 20, 40, 64, 120, 255]) if dice.random() < 0.3 else dice.randint(3, 30)
    return "".join(dice.choices(_LETTERS, k=length)).replace("..", "xx").strip(".") or "q"


def random_content(dice: random.Random) -> bytes:
    size = dice.choices([0, dice.randint(1, 700), dice.randint(700, 9000), dice.randint(9000, 200_000)], [5, 55, 35, 5])[0]
    return dice.randbytes(size)


class Planter:
    """Grows one random tree below a mount point. Paths are absolute in the filesystem."""

    def __init__(self, dice: random.Random, root: Path, reflink: bool) -> None:
        self._dice, self._root, self._reflink = dice, root, reflink
        self._labelled = dice.random() < 0.7
        self.directories = ["/"]
        self.files: list[str] = []

    def plant(self) -> None:
        dice = self._dice
        self._skeleton()
        for _turn in range(dice.randint(2, 25)):
            self._directory(self._child(self._some_directory(), random_name(dice)[:60]))
        for directory in list(self.directories):
            small = dice.random() < 0.85
            count = dice.choice([0, 1, 2, 5, 8, 15, 30, 60, 90]) if small else dice.choice([130, 200, 300, 420, 480, 500, 520])
            self._fill(directory, count)
        for chance, shape in (
            (0.35, self._large_directory),
            (1.0, self._links),
            (0.3, self._special_files),
            (0.5, self._sparse_files),
            (0.6, self._holes_in_free_space),
            (0.2, self._nearly_full),
            (0.8 if self._reflink else 0, self._clones),
            (0.5, self._emptied_directory),
            (0.7, self._removals),
        ):
            if dice.random() < chance:
                shape()

    def _place(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    @staticmethod
    def _child(directory: str, name: str) -> str:
        return directory.rstrip("/") + "/" + name

    def _some_directory(self) -> str:
        return self._dice.choice(self.directories)

    def _label(self, path: str) -> None:
        if self._labelled and self._dice.random() < 0.9:
            label = self._dice.choice(_LABELS).encode() + b"\0"
            os.setxattr(self._place(path), "security.selinux", label, follow_symlinks=False)

    def _directory(self, path: str) -> None:
        if not os.path.lexists(self._place(path)):
            self._place(path).mkdir()
            self._label(path)
            self.directories.append(path)

    def _file(self, path: str, content: bytes | None = None) -> None:
        place, dice = self._place(path), self._dice
        if os.path.lexists(place):
            return
        place.write_bytes(random_content(dice) if content is None else content)
        if dice.random() < 0.3:
            place.chmod(dice.choice([0o600, 0o755, 0o400, 0o4755]))
        if dice.random() < 0.2:
            os.chown(place, dice.randint(0, 70_000), dice.randint(0, 5000))
        self._label(path)
        if dice.random() < 0.04:
            os.setxattr(place, "user.large", dice.randbytes(dice.choice([60, 300, 2000, 9000])))
        self.files.append(path)

    def _skeleton(self) -> None:
        for directory in ("/boot", "/boot/loader.1", "/boot/loader.1/entries", "/etc", "/ostree", "/ostree/deploy", "/var"):
            self._directory(directory)
        self._file(BOOT_ENTRY, b"title x\noptions root=UUID=" + b"y" * 560)
        self._file(FSTAB, b"# a table\n")
        self._file(MACHINE_ID, b"0" * 33)
        (self._root / "boot/loader").symlink_to("loader.1")

    def _fill(self, directory: str, count: int) -> None:
        for _turn in range(count):
            self._file(self._child(directory, random_name(self._dice)))

    def _large_directory(self) -> None:
        directory = self._some_directory()
        for _turn in range(self._dice.choice([700, 1100, 2500, 5000])):
            self._file(self._child(directory, random_name(self._dice)), b"z" * self._dice.choice([0, 10, 5000]))

    def _links(self) -> None:
        dice = self._dice
        for number in range(dice.randint(0, 10)):
            target = dice.choice(["../x", "a" * dice.choice([10, 200, 400, 900]), "/etc"])
            path = self._child(self._some_directory(), f"symlink{number}")
            self._place(path).symlink_to(target)
            self._label(path)
        for number in range(dice.randint(0, 6)):
            path = self._child(self._some_directory(), f"hardlink{number}")
            os.link(self._place(dice.choice(self.files)), self._place(path))
            self.files.append(path)

    def _special_files(self) -> None:
        os.mkfifo(self._place(self._child(self._some_directory(), "fifo")))
        os.mknod(self._place(self._child(self._some_directory(), "device")), 0o020600, os.makedev(1, 3))

    def _sparse_files(self) -> None:
        dice = self._dice
        for number in range(dice.randint(1, 4)):
            path = self._child(self._some_directory(), f"sparse{number}")
            with self._place(path).open("wb") as file:
                for piece in range(dice.choice([3, 15, 40, 400])):
                    file.seek(piece * 8192 * dice.choice([1, 1, 2]))
                    file.write(dice.randbytes(4096))
            if dice.random() < 0.3:
                run("fallocate", "--keep-size", "--length", "1M", self._place(path), check=False)
            self.files.append(path)

    def _holes_in_free_space(self) -> None:
        dice = self._dice
        count = dice.choice([300, 1500, 6000])
        self._directory("/holes")
        for number in range(count):
            self._place(f"/holes/{number:05}").write_bytes(b"f" * dice.choice([4096, 4096, 8192, 100]))
        run("sync", "--file-system", self._root)
        for number in range(count):
            if number % 2 or dice.random() < 0.1:
                self._place(f"/holes/{number:05}").unlink()
            else:
                self.files.append(f"/holes/{number:05}")

    def _nearly_full(self) -> None:
        dice = self._dice
        facts = os.statvfs(self._root)
        if facts.f_bavail * facts.f_frsize > 1200 << 20:
            return
        self._directory("/full")
        for number in range(3000):
            self._place(f"/full/{number}").write_bytes(b"f" * dice.choice([4096, 8192, 20_000]))
        run("sync", "--file-system", self._root)
        for number in range(40):
            facts = os.statvfs(self._root)
            left = facts.f_bavail * facts.f_frsize - (dice.choice([1, 2, 6]) << 20)
            if left <= 0:
                break
            run(
                "fallocate",
                "--length",
                str(min(left, 64 << 20) // (1 if number < 30 else 4)),
                self._place(f"/full/large{number}"),
                check=False,
            )
        for number in range(1, 3000, 2):
            self._place(f"/full/{number}").unlink()

    def _clones(self) -> None:
        dice = self._dice
        for number in range(dice.randint(1, 30)):
            source, path = dice.choice(self.files), self._child(self._some_directory(), f"clone{number}")
            try:
                with self._place(source).open("rb") as old, self._place(path).open("wb") as new:
                    fcntl.ioctl(new, _FICLONE, old.fileno())
                self.files.append(path)
                if dice.random() < 0.4:
                    with self._place(path).open("r+b") as new:
                        new.seek(4096 * dice.randint(0, 3))
                        new.write(b"q" * dice.randint(1, 9000))
                if dice.random() < 0.2 and source not in (BOOT_ENTRY, FSTAB, MACHINE_ID):
                    self._place(source).unlink()
                    self.files.remove(source)
            except OSError:  # a full filesystem
                return

    def _emptied_directory(self) -> None:
        self._directory("/emptied")
        for number in range(self._dice.choice([3, 40, 300, 1200])):
            self._place(f"/emptied/{random_name(self._dice)[:40]}{number}").write_bytes(b"")
        for entry in list(self._place("/emptied").iterdir())[self._dice.choice([0, 1, 30]) :]:
            entry.unlink()

    def _removals(self) -> None:
        for path in self._dice.sample(self.files, int(len(self.files) * self._dice.choice([0.0, 0.05, 0.3]))):
            if path not in (BOOT_ENTRY, FSTAB, MACHINE_ID):
                self._place(path).unlink(missing_ok=True)


def turn_the_log(dice: random.Random, root: Path) -> None:
    """Write so many small transactions that the log goes round."""
    descriptor = os.open(root / "turned", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for number in range(dice.choice([300, 1000, 3000, 5000, 9000]) + dice.randint(0, 50)):
            os.utime(descriptor, ns=(number, number))
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
