# SPDX-License-Identifier: MIT
"""The pure functions of so1_facts, fed documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import so1_facts

if TYPE_CHECKING:
    from pathlib import Path

CONTAINER = "5b" * 32
ADDED = {"swap": 1, "major_faults": 2, "read_bytes": 3, "written_bytes": 4, "cgroup": 5}


def process(pid: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a process with every key of both documents."""
    return {
        "pid": pid,
        "ppid": 0,
        "uid": 0,
        "name": "init",
        "state": 1,
        "threads": 1,
        "rss": 4,
        "vsz": 8,
        "mem_percent": 0,
        "cpu": 0,
        "start_ns": 5,
        "cpu_ns": 7,
        "container_id": CONTAINER,
        **changes,
    }


def sysinfo(*processes: object, **changes: Any) -> dict[str, Any]:
    return {
        "total_ram": 10,
        "free_ram": 4,
        "used_ram": 6,
        "processes": list(processes),
        **changes,
    }


def without(source: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != key}


def test_sysinfo_gives_memory_and_processes_of_the_known_keys() -> None:
    document = sysinfo(process(3, **ADDED, added_later=[1]), available_ram=5, taken_ns=9, later=1)
    memory, taken_ns, processes = so1_facts.parse_sysinfo(document)
    assert memory == {"total_ram": 10, "free_ram": 4, "used_ram": 6, "available_ram": 5}
    assert taken_ns == 9
    assert processes == [process(3, **ADDED)]


def test_what_older_modules_did_not_tell_is_null() -> None:
    document = sysinfo(without(process(3), "container_id"))
    memory, taken_ns, processes = so1_facts.parse_sysinfo(document)
    assert (memory["available_ram"], taken_ns) == (None, None)
    assert processes == [{**process(3), **dict.fromkeys(ADDED), "container_id": None}]


def test_continfo_gives_processes_with_their_container() -> None:
    assert so1_facts.parse_continfo([process(3)]) == [without(process(3), "state")]
    assert so1_facts.parse_continfo([]) == []


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "it is not an object"),
        (None, "it is not an object"),
        (without(sysinfo(), "free_ram"), "it has no free_ram"),
        (sysinfo(total_ram="10"), "total_ram of it is not a whole number"),
        (sysinfo(total_ram=True), "total_ram of it is not a whole number"),
        (without(sysinfo(), "processes"), "it has no processes"),
        (sysinfo(processes={}), "its processes are not a list"),
        (sysinfo(process(), 7), "process 1 is not an object"),
        (sysinfo(process(rss=-1)), "rss of process 0 is not a whole number"),
        (sysinfo(process(rss=1.0)), "rss of process 0 is not a whole number"),
        (sysinfo(process(cpu_ns=2**64)), "cpu_ns of process 0 is not a whole number"),
        (sysinfo(process(), process(name=None)), "name of process 1 is not text"),
        (sysinfo(process(name="\udcff")), "name of process 0 is not text"),
        (sysinfo(without(process(), "state")), "process 0 has no state"),
        (sysinfo(available_ram=-1), "available_ram of it is not a whole number"),
        (sysinfo(taken_ns="1"), "taken_ns of it is not a whole number"),
        (sysinfo(process(swap=None)), "swap of process 0 is not a whole number"),
        (sysinfo(process(cgroup=2**64)), "cgroup of process 0 is not a whole number"),
        (sysinfo(process(container_id="5b")), "container_id of process 0 is not 64 hex"),
    ],
)
def test_what_is_wrong_with_a_sysinfo_document_is_said(document: object, complaint: str) -> None:
    with pytest.raises(so1_facts.FormatError) as caught:
        so1_facts.parse_sysinfo(document)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "it is not a list"),
        (["x"], "process 0 is not an object"),
        ([without(process(), "container_id")], "process 0 has no container_id"),
        ([process(container_id=5)], "container_id of process 0 is not text"),
        ([process(container_id="5b")], "container_id of process 0 is not 64 hex"),
        ([process(container_id="Z" * 64)], "container_id of process 0 is not 64 hex"),
        ([process(container_id=CONTAINER + "\n")], "container_id of process 0 is not 64 hex"),
    ],
)
def test_what_is_wrong_with_a_continfo_document_is_said(document: object, complaint: str) -> None:
    with pytest.raises(so1_facts.FormatError) as caught:
        so1_facts.parse_continfo(document)
    assert str(caught.value).startswith(complaint)


def limit(**changes: Any) -> dict[str, Any]:
    return {
        "pid": 7,
        "name": "init",
        "limit": 2**64 - 1,
        "size": 4096,
        "set_at": 1_763_900_000_000,
        "set_by": 0,
        **changes,
    }


def test_limits_give_the_known_keys() -> None:
    assert so1_facts.parse_limits([limit(added_later=[1])]) == [limit()]
    assert so1_facts.parse_limits([]) == []


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "it is not a list"),
        ([limit(), []], "limit 1 is not an object"),
        ([limit(limit=2**64)], "limit of limit 0 is not a whole number"),
        ([limit(size=-1)], "size of limit 0 is not a whole number"),
        ([limit(set_by=None)], "set_by of limit 0 is not a whole number"),
        ([limit(name=1)], "name of limit 0 is not text"),
        *(([without(limit(), key)], f"limit 0 has no {key}") for key in limit()),
    ],
)
def test_what_is_wrong_with_a_list_of_limits_is_said(document: object, complaint: str) -> None:
    with pytest.raises(so1_facts.FormatError) as caught:
        so1_facts.parse_limits(document)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("key", [key for key in process() if key not in ("state", "container_id")])
def test_no_key_of_a_process_may_be_missing(key: str) -> None:
    broken = without(process(), key)
    with pytest.raises(so1_facts.FormatError, match=f"process 0 has no {key}$"):
        so1_facts.parse_sysinfo(sysinfo(broken))
    with pytest.raises(so1_facts.FormatError, match=f"process 0 has no {key}$"):
        so1_facts.parse_continfo([broken])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is not one whole JSON document at character 0"),
        (b'{"total_ram":10,"proc', "it is not one whole JSON document at character"),
        (b"[] []", "it is not one whole JSON document at character 3"),
        (b"[\xff]", "it is not UTF-8 at byte 1"),
        ("[]".encode("utf-16"), "it is not UTF-8 at byte 0"),
        (b"[NaN]", "it has the number NaN"),
        (b"[-Infinity]", "it has the number -Infinity"),
        (b"[" * 200_000, "it is nested too deeply"),
    ],
)
def test_what_is_not_json_is_said(content: bytes, complaint: str) -> None:
    with pytest.raises(so1_facts.FormatError) as caught:
        so1_facts.parse_json(content)
    assert str(caught.value).startswith(complaint)


def test_a_file_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(b"x" * 100)
    assert so1_facts.read_bounded(path, 100) == b"x" * 100
    with pytest.raises(so1_facts.FormatError, match="longer than 99 bytes"):
        so1_facts.read_bounded(path, 99)


def test_a_number_of_a_million_digits_is_refused() -> None:
    with pytest.raises(so1_facts.FormatError):
        so1_facts.parse_sysinfo({"total_ram": so1_facts.parse_json(b"9" * 1_000_000)})


def test_states_have_the_kernels_names() -> None:
    states = [0, 1, 1, 2, 4, 8, 16, 32, 64, 1026, 3, 2**32]
    assert so1_facts.count_states([process(state=state) for state in states]) == {
        "dead": 1,
        "disk_sleep": 1,
        "idle": 1,
        "other": 2,
        "parked": 1,
        "running": 1,
        "sleeping": 2,
        "stopped": 1,
        "traced": 1,
        "zombie": 1,
    }


@pytest.mark.parametrize(
    ("sort", "pids"),
    [("rss", [2, 1, 3]), ("pid", [1, 2, 3]), ("name", [3, 1, 2]), ("cpu", [1, 2, 3])],
)
def test_order(sort: str, pids: list[int]) -> None:
    processes = [
        process(3, rss=1, name="a"),
        process(2, rss=9, name="b"),
        process(1, rss=1, name="b"),
    ]
    assert [one["pid"] for one in so1_facts.order(processes, sort, "pid")] == pids


def test_a_container_has_the_sums_of_all_and_the_first_of_its_processes() -> None:
    other = "00" * 32
    processes = [
        process(5, rss=10, cpu=3, name="sh"),
        process(6, rss=30, cpu_ns=1, name="sh"),
        process(7, rss=20, threads=4, name="python"),
        process(9, rss=61, container_id=other),
    ]
    first, second = so1_facts.group(processes, "rss", 2)
    assert (first["container_id"], second["container_id"]) == (other, CONTAINER)
    assert [one["pid"] for one in second["processes"]] == [6, 7]
    del second["processes"]
    assert second == {
        "container_id": CONTAINER,
        "process_count": 3,
        "names": ["sh", "python"],
        "threads": 6,
        "rss": 60,
        "vsz": 24,
        "cpu": 3,
        "cpu_ns": 15,
    }


@pytest.mark.parametrize(("sort", "expected"), [("pid", ["bb", "aa"]), ("name", ["aa", "bb"])])
def test_containers_without_a_sum_to_sort_by_are_in_order_of_their_first_process(
    sort: str, expected: list[str]
) -> None:
    processes = [
        process(8, name="a", container_id="aa" * 32),
        process(5, name="z", container_id="bb" * 32),
        process(9, name="b", container_id="bb" * 32),
    ]
    containers = so1_facts.group(processes, sort, 0)
    assert [one["container_id"][:2] for one in containers] == expected
