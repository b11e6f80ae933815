# SPDX-License-Identifier: MIT
"""Stands for the file of so1_exits, whose places are numbers of exits."""

import errno
import json
import os
from typing import Any

import pytest

from so1.sources import exits


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "seq": number,
        "pid": 300 + number,
        "ppid": 1,
        "uid": 0,
        "name": "cc1",
        "start_ns": 10**9 + number,
        "end_ns": 2 * 10**9 + number,
        "code": 0,
        "signal": 0,
        "oom_killed": False,
        "threads": 1,
        "peak_rss": 2048,
        "cpu_ns": 5_000_000,
        "major_faults": 0,
        "read_bytes": 0,
        "written_bytes": 0,
        "cgroup": 7,
        **changes,
    }


class Ring:
    """The lines that the module keeps; an open file is a place in it."""

    O_RDONLY, O_NONBLOCK, O_CLOEXEC = os.O_RDONLY, os.O_NONBLOCK, os.O_CLOEXEC
    SEEK_SET, SEEK_END = os.SEEK_SET, os.SEEK_END

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int = 8) -> None:
        self.lines: list[dict[str, Any]] = []
        self.size = size
        self.error: OSError | None = None
        self.opened = 0
        self._place = 0
        monkeypatch.setattr(exits, "os", self)

    def end(self, count: int = 1, **changes: Any) -> None:
        for _ in range(count):
            self.lines.append(line(len(self.lines), **changes))

    def open(self, _path: object, flags: int) -> int:
        if self.error:
            raise self.error
        assert flags & os.O_NONBLOCK
        self.opened += 1
        self._place = 0
        return 3

    def close(self, _file: int) -> None:
        self.opened -= 1

    def lseek(self, _file: int, place: int, whence: int) -> int:
        end = len(self.lines)
        place += end if whence == os.SEEK_END else 0
        if place > end:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._place = place
        return place

    def read(self, _file: int, size: int) -> bytes:
        self._place = max(self._place, len(self.lines) - self.size)
        done = b""
        for one in self.lines[self._place :]:
            text = json.dumps(one).encode() + b"\n"
            if len(done) + len(text) > size:
                break
            done += text
            self._place += 1
        if not done:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return done
