# SPDX-License-Identifier: MIT
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from so1.sources import SourceError, kernel
from tests.so1.processes import CONTAINER, SUFFIX, process


def test_reads_both_files(proc: Callable[..., Path]) -> None:
    inside = process(7, name="sh", container_id=CONTAINER)
    root = proc([process(1, name="systemd"), process(7, name="sh")], [inside])
    snapshot = kernel.take(SUFFIX, root)
    assert snapshot.source == "module"
    assert (snapshot.total_ram, snapshot.free_ram, snapshot.used_ram) == (1000, 400, 600)
    assert [(p.pid, p.name, p.state) for p in snapshot.processes] == [
        (1, "systemd", 1),
        (7, "sh", 1),
    ]
    assert [p.container_id for p in snapshot.processes] == [None, CONTAINER]


def test_who_is_in_which_container(proc: Callable[..., Path]) -> None:
    other = "cd" * 32
    ids = {1: CONTAINER, 2: other, 3: CONTAINER}
    root = proc(
        [process(pid) for pid in (*ids, 4)],
        # One of them had its pid taken over by another process between the two reads.
        [*(process(pid, container_id=id_) for pid, id_ in ids.items()), process(4, start_ns=1)],
    )
    found = {p.pid: p.container_id for p in kernel.take(SUFFIX, root).processes}
    assert found == ids | {4: None}


def test_one_read_is_one_moment_where_the_modules_tell_all_in_it(
    proc: Callable[..., Path],
) -> None:
    root = proc([process(7, container_id=CONTAINER, cgroup=4711), process(8, cgroup=1)])
    file = root / f"sysinfo_so1_{SUFFIX}"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"available_ram": 555, "taken_ns": 99})
    )
    (root / f"continfo_so1_{SUFFIX}").write_text("this is not read")
    snapshot = kernel.take(SUFFIX, root)
    assert (snapshot.taken_ns, snapshot.available_ram) == (99, 555)
    assert [(p.container_id, p.cgroup) for p in snapshot.processes] == [
        (CONTAINER, 4711),
        (None, 1),
    ]


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("rss", 2**47 + 1),
        ("vsz", 2**64),
        ("cpu_ns", 2**63),
        ("start_ns", 2**63),
        ("uid", 2**70),
        ("threads", -1),
    ],
)
def test_numbers_that_cannot_be_are_not_let_in(
    proc: Callable[..., Path], key: str, number: int
) -> None:
    with pytest.raises(SourceError, match="not SO1's"):
        kernel.take(SUFFIX, proc([process(1, **{key: number})]))
    most = {"rss": 2**47, "vsz": 2**47, "cpu_ns": 2**63 - 1, "start_ns": 2**63 - 1}
    (found,) = kernel.take(SUFFIX, proc([process(1, **most)])).processes
    assert {key: getattr(found, key) for key in most} == most


def test_keys_of_a_later_module_are_let_through(proc: Callable[..., Path]) -> None:
    root = proc([process(1, invented_later={"a": [1]})])
    assert kernel.take(SUFFIX, root).processes[0].pid == 1


def test_reads_a_document_far_larger_than_one_read(proc: Callable[..., Path]) -> None:
    count = 20_000
    root = proc([process(pid, name="x" * 15) for pid in range(1, count + 1)])
    assert (root / f"sysinfo_so1_{SUFFIX}").stat().st_size > 2 * kernel._READ
    assert len(kernel.take(SUFFIX, root).processes) == count


def _without(key: str) -> str:
    broken = process(1)
    del broken[key]
    return json.dumps({"total_ram": 1, "free_ram": 1, "used_ram": 0, "processes": [broken]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"total_ram": 1, "free_ram": 1, "used_ram": 0}',
        '{"total_ram": "1", "free_ram": 1, "used_ram": 0, "processes": []}',
        '{"total_ram": 1, "free_ram": 1, "used_ram": 0, "processes": []} trailing',
        *(_without(key) for key in ("pid", "name", "rss", "start_ns", "cpu_ns")),
        _without("uid").replace('"pid": 1', '"pid": 1.5'),
    ],
)
def test_a_document_that_is_not_ours(proc: Callable[..., Path], text: str) -> None:
    root = proc([])
    (root / f"sysinfo_so1_{SUFFIX}").write_text(text)
    with pytest.raises(SourceError, match="not SO1's"):
        kernel.take(SUFFIX, root)


def test_bytes_that_are_not_utf8(proc: Callable[..., Path]) -> None:
    root = proc([process(1, name="NAME")])
    file = root / f"sysinfo_so1_{SUFFIX}"
    file.write_bytes(file.read_bytes().replace(b"NAME", b"\xff\xfe"))
    with pytest.raises(SourceError):
        kernel.take(SUFFIX, root)


@pytest.mark.parametrize("missing", ["sysinfo", "continfo"])
def test_a_missing_file_says_what_to_do(proc: Callable[..., Path], missing: str) -> None:
    root = proc([])
    (root / f"{missing}_so1_{SUFFIX}").unlink()
    assert not kernel.available(SUFFIX, root)
    with pytest.raises(SourceError, match=rf"{missing}_so1_{SUFFIX}.*load the kernel modules"):
        kernel.take(SUFFIX, root)


def test_a_file_that_cannot_be_read(proc: Callable[..., Path]) -> None:
    root = proc([])
    path = root / f"sysinfo_so1_{SUFFIX}"
    path.unlink()
    Path(path).mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        kernel.take(SUFFIX, root)
