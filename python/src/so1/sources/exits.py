# SPDX-License-Identifier: MIT
"""The processes that ended, from the kernel module so1_exits."""

import errno
import os
from pathlib import Path

import msgspec

from so1.model import Exit
from so1.sources.error import SourceError

_READ = 1 << 20
_LINE = 1 << 12
"""Bytes for one line at least; the module writes some 1,000 at most."""
_MOST = 64 << 20
"""Bytes in one go; in a storm the rest comes the next time, and nobody waits for it."""


_decoder = msgspec.json.Decoder(Exit)


class Exits:
    """Reads exits as they come, each once.

    The file is opened for each reading alone: who holds it open keeps the module from being
    replaced.
    """

    def __init__(self, suffix: str, proc: Path = Path("/proc"), *, held: bool = False) -> None:
        """Begin with what ends from now on, or with `held` with the oldest that the kernel keeps.

        Raises SourceError where there is no such file, or it cannot be read.
        """
        self._path = proc / f"exits_so1_{suffix}"
        self._last: Exit | None = None
        self._next = 0
        if not held:
            file = self._open()
            try:
                self._next = os.lseek(file, 0, os.SEEK_END)
            finally:
                os.close(file)

    def take(self) -> tuple[list[Exit], int]:
        """Give the exits since the last time, the oldest first, and how many were missed.

        Raises SourceError where the file cannot be read, or is not what the module writes.
        """
        file = self._open()
        try:
            self._go_on(file)
            found = list(self._all(file))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceError(
                f"{self._path} is not what this so1 knows ({error}); load the module of its release"
            ) from error
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read: {error.strerror}") from error
        finally:
            os.close(file)
        missed = 0
        for one in found:
            missed += max(0, one.seq - self._next)
            self._next = one.seq + 1
        if found:
            self._last = found[-1]
        return found, missed

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise SourceError(
                f"exits are not known: there is no {self._path}; load the kernel module so1_exits"
            ) from error
        except OSError as error:
            raise SourceError(
                f"{self._path} cannot be read ({error.strerror}); be a member of the group so1"
            ) from error

    def _go_on(self, file: int) -> None:
        """Seek to what comes next; a module that was loaded anew counts from 0 again."""
        if not self._is_the_same(file):
            self._next = 0
        os.lseek(file, self._next, os.SEEK_SET)

    def _is_the_same(self, file: int) -> bool:
        """Whether the last exit still stands at its place, or later ones took that."""
        place = self._last.seq if self._last else self._next
        try:
            os.lseek(file, place, os.SEEK_SET)
            if not self._last:
                return True
            first = _lines(os.read(file, _LINE))[0]
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False  # there are not so many yet
        return first.seq > place or first == self._last

    @staticmethod
    def _all(file: int) -> list[Exit]:
        found: list[Exit] = []
        size = 0
        while size < _MOST:
            try:
                part = os.read(file, _READ)
            except BlockingIOError:
                break
            if not part:
                break
            size += len(part)
            found += _lines(part)
        return found


def _lines(text: bytes) -> list[Exit]:
    return _decoder.decode_lines(text)
