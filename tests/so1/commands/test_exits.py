# SPDX-License-Identifier: MIT
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from so1.store.database import Database
from tests.so1.sources.ring import Ring
from tests.so1.store.ticks import tick

SHOP = "ab" * 32


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    made = Ring(monkeypatch, size=16)
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    made.end(name="old", end_ns=max(0, now - 7_200 * 10**9))
    times = {"start_ns": max(0, now - 65 * 10**9), "end_ns": max(0, now - 5 * 10**9)}
    made.end(**times, name="make")
    made.end(**times, name="cc1", code=3, cpu_ns=1_500_000_000)
    made.end(**times, name="cc1", signal=signal.SIGSEGV, container_id=SHOP)
    made.end(**times, name="ja\x1bva", signal=signal.SIGKILL, oom_killed=True, container_id=SHOP)
    made.end(**times, name="odd", signal=60)
    return made


@pytest.mark.usefixtures("ring")
def test_how_each_ended(so1: Callable[..., Result]) -> None:
    result = so1("exits", "--since", "1h")
    assert result.exit_code == 0
    for words in ("make code 0 60.0", "cc1 code 3 60.0 1.5 2.0", "SIGSEGV", "out of memory"):
        assert words in " ".join(result.stdout.replace(SHOP[:12], "").split()), words
    assert "signal 60" in result.stdout
    assert "\x1b" not in result.stdout
    assert "old" not in result.stdout


@pytest.mark.usefixtures("ring")
def test_only_some(so1: Callable[..., Result]) -> None:
    def names(*options: str) -> list[str]:
        told = json.loads(so1("exits", "--since", "1h", "--json", *options).stdout)
        return [one["name"] for one in told]

    assert names() == ["make", "cc1", "cc1", "ja\x1bva", "odd"]
    assert names("--failed") == ["cc1", "cc1", "ja\x1bva", "odd"]
    assert names("--name", "make") == ["make"]
    assert names("--container", SHOP[:12]) == ["cc1", "ja\x1bva"]
    assert names("--container", "shop") == []
    assert names("--limit", "2") == ["ja\x1bva", "odd"]
    result = so1("exits", "--since", "1h", "--name", "nobody")
    assert (result.exit_code, result.stdout) == (0, "no such process ended in this period\n")


def test_older_ones_and_names_come_from_the_database(
    so1: Callable[..., Result], store: Path, ring: Ring
) -> None:
    now = round(time.time() * 1000)
    database = Database(store)
    database.write_tick(tick(now - 10_000_000, name="stored"))  # in a container called web
    database.write_tick(tick(now - 1_000, name="told twice"))
    database.close()
    told = json.loads(so1("exits", "--container", "web", "--json").stdout)
    assert [one["name"] for one in told] == ["stored", "cc1", "ja\x1bva"]
    assert told[0] == {
        "ended_at": now - 10_000_000,
        "pid": 9,
        "ppid": 1,
        "uid": 0,
        "name": "stored",
        "container_id": SHOP,
        "container_name": "web",
        "code": 0,
        "signal": 9,
        "oom_killed": True,
        "lived_ms": 60_000,
        "cpu_ms": 1_500,
        "peak_ram": 2_048,
        "read_bytes": None,
        "written_bytes": None,
    }
    assert set(told[1]) == set(told[0])
    ring.error = FileNotFoundError()
    result = so1("exits")
    assert result.exit_code == 0
    assert "stored" in result.stdout
    assert "Warning: exits are not known" in result.stderr


def test_older_ones_that_are_gone_are_told(so1: Callable[..., Result], ring: Ring) -> None:
    ring.end(17)
    assert "of older ones only those that failed" in so1("exits", "--since", "4w").stderr


def test_without_the_module(so1: Callable[..., Result]) -> None:
    result = so1("exits")
    assert result.exit_code == 1
    assert "load the kernel module so1_exits" in result.stderr
