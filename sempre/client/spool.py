"""A queue of records on disk: files that are only ever appended to, and removed as a whole."""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Spool"]

_SEGMENT_BYTES = 1 << 20
_HEAD = struct.Struct(">II")  # length and checksum of the record that follows


class Spool:
    """Records in the order in which they were put. One owner at a time: nothing in here is locked.

    A record that was cut short by the death of its process is left out. What was read last is remembered in a cursor
    file, so that whoever continues repeats little.
    """

    def __init__(self, directory: Path, kind: str) -> None:
        self._directory = directory
        self._kind = kind
        self._segments: deque[int] = deque(self._found())
        self._next = (self._segments[-1] if self._segments else 0) + 1
        self._writing: int | None = None  # the descriptor of the last segment, while it is appended to
        self._written = 0
        self._head: deque[bytes] | None = None  # what the first segment still holds, once it was read
        self._read = 0  # how many records of it were removed
        self.size = sum(self._path(number).stat().st_size for number in self._segments)

    def __bool__(self) -> bool:
        return bool(self._segments) and bool(self.peek(1, 1))

    def append(self, records: Sequence[bytes]) -> None:
        """Put records at the end. OSError when the disk does not take them."""
        for record in records:
            if self._writing is None or self._written >= _SEGMENT_BYTES:
                self._roll()
            assert self._writing is not None
            framed = _HEAD.pack(len(record), zlib.crc32(record)) + record
            written = os.write(self._writing, framed)
            self._written += written
            self.size += written
            if written < len(framed):
                self._close()
                raise OSError("the disk took only a part of a record")

    def peek(self, count: int, size: int) -> list[bytes]:
        """The first records: at most `count`, and of more than one at most `size` bytes together."""
        while self._segments:
            if self._head is None:
                self._load()
            assert self._head is not None
            if self._head:
                return _first(self._head, count, size)
            self._remove_first()
        return []

    def drop(self, count: int) -> None:
        """Remove the first records, which were peeked at."""
        if self._head is None:
            return
        for _ in range(min(count, len(self._head))):
            self._head.popleft()
            self._read += 1
        if self._head:
            self._cursor().write_text(f"{self._segments[0]} {self._read}")
        else:
            self._remove_first()

    def drop_segment(self) -> int:
        """Remove the oldest file to make room; returns its bytes, 0 if there is none."""
        before = self.size
        if self._segments:
            self._remove_first()
        return before - self.size

    def close(self) -> None:
        """Let go of the file that is written to."""
        self._close()

    def _found(self) -> list[int]:
        names = (path.name for path in self._directory.glob(f"{self._kind}.*"))
        return sorted(int(name.rpartition(".")[2]) for name in names if name.rpartition(".")[2].isdigit())

    def _path(self, number: int) -> Path:
        return self._directory / f"{self._kind}.{number:08d}"

    def _cursor(self) -> Path:
        return self._directory / f"{self._kind}.cursor"

    def _roll(self) -> None:
        self._close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._writing = os.open(self._path(self._next), flags, 0o600)
        self._segments.append(self._next)
        self._next += 1
        self._written = 0

    def _close(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def _load(self) -> None:
        if len(self._segments) == 1:
            self._close()  # what is read does not grow any more
        number = self._segments[0]
        self._head = deque(_records(self._path(number).read_bytes()))
        self._read = 0
        try:
            segment, read = self._cursor().read_text().split()
        except (OSError, ValueError):
            return
        if int(segment) == number:
            for _ in range(min(int(read), len(self._head))):
                self._head.popleft()
            self._read = int(read)

    def _remove_first(self) -> None:
        if len(self._segments) == 1:
            self._close()
        path = self._path(self._segments.popleft())
        self.size -= path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        self._head, self._read = None, 0
        if not self._segments:
            self._cursor().unlink(missing_ok=True)


def _records(data: bytes) -> list[bytes]:
    found, position = [], 0
    while position + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, position)
        record = data[position + _HEAD.size : position + _HEAD.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            break
        found.append(record)
        position += _HEAD.size + length
    return found


def _first(records: Sequence[bytes] | deque[bytes], count: int, size: int) -> list[bytes]:
    taken: list[bytes] = []
    total = 0
    for record in records:
        total += len(record)
        if len(taken) >= count or (taken and total > size):
            break
        taken.append(record)
    return taken
