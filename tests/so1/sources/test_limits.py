# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import pytest

from so1.model import MemoryLimit
from so1.sources import SourceError, limits


def entry(**changes: Any) -> dict[str, Any]:
    return {"pid": 7, "name": "web", "limit": 8, "size": 4, "set_at": 99, "set_by": 0, **changes}


def write(proc: Path, text: str) -> None:
    (proc / "so2_memory_limits").write_text(text)


def test_without_a_limiter_nothing_is_limited(tmp_path: Path) -> None:
    assert not limits.available(tmp_path)
    assert limits.take(tmp_path) == []


def test_the_list_as_the_kernel_writes_it(tmp_path: Path) -> None:
    write(tmp_path, json.dumps([entry(limit=2**64 - 1), entry(pid=8, name="a\\xff", later=[1])]))
    assert limits.available(tmp_path)
    assert limits.take(tmp_path) == [
        MemoryLimit(pid=7, name="web", limit=2**64 - 1, size=4, set_at=99, set_by=0),
        MemoryLimit(pid=8, name="a\\xff", limit=8, size=4, set_at=99, set_by=0),
    ]


def test_an_empty_list(tmp_path: Path) -> None:
    write(tmp_path, "[]\n")
    assert limits.available(tmp_path)
    assert limits.take(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "null", "[] []", "[1]"),
        json.dumps([entry(limit=0)]),
        json.dumps([entry(size="4")]),
        *(json.dumps([{k: v for k, v in entry().items() if k != key}]) for key in entry()),
    ],
)
def test_a_list_that_is_not_the_limiters(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SourceError, match="so2_memory_limits is not what this so1 knows"):
        limits.take(tmp_path)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    text = json.dumps([entry(name="NAME")]).encode()
    (tmp_path / "so2_memory_limits").write_bytes(text.replace(b"NAME", b"\xff"))
    with pytest.raises(SourceError):
        limits.take(tmp_path)


def test_a_list_that_may_not_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "so2_memory_limits").mkdir()
    with pytest.raises(SourceError, match=r"cannot be read.*group so1"):
        limits.take(tmp_path)
