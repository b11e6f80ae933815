# SPDX-License-Identifier: MIT
"""so1_facts run as a process of its own on a captured host, whole and spoiled."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import so1_facts

from tests.modules.captured_host import SUFFIX, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def test_all_of_a_host(host: Host) -> None:
    facts = host.facts(top=0)
    sysinfo = json.loads(host.sysinfo.read_text())
    continfo = json.loads(host.continfo.read_text())
    assert (facts["present"], facts["reason"]) == (True, None)
    memory = ("total_ram", "free_ram", "used_ram", "available_ram")
    # This host was captured when the modules told less.
    assert facts["memory"] == {key: sysinfo.get(key) for key in memory}
    assert facts["taken_ns"] == sysinfo.get("taken_ns")
    assert facts["process_count"] == len(sysinfo["processes"]) == sum(facts["states"].values())
    by_pid = {process["pid"]: process for process in facts["processes"]}
    added = dict.fromkeys((*so1_facts.ADDED, "container_id"))
    assert by_pid == {process["pid"]: added | process for process in sysinfo["processes"]}
    assert (facts["states"]["zombie"], facts["states"]["stopped"]) == (1, 1)
    assert facts["container_count"] == len(facts["containers"]) == 2
    for container in facts["containers"]:
        members = [one for one in continfo if one["container_id"] == container["container_id"]]
        assert container["process_count"] == len(container["processes"]) == len(members)
        for key in ("rss", "vsz", "cpu", "cpu_ns", "threads"):
            assert container[key] == sum(one[key] for one in members)
    loaded = {"loaded": True, "state": "live", "version": "0.1.0"}
    names = ("sysinfo", "continfo", "so1_exits", "so2_memlimit")
    assert facts["modules"] == dict.fromkeys(names, loaded)
    limits = json.loads(host.limits.read_text())
    assert facts["memory_limits"] == limits
    assert facts["memory_limit_count"] == len(limits) == 3


def test_names_pass_as_they_are(host: Host) -> None:
    names = {process["name"] for process in host.facts(top=0)["processes"]}
    assert {'a\\xff"\\\\', "{{ 7*7 }}", "\x1b[31m\n", "ñandú", "%s %n"} <= names
    limited = {limit["name"] for limit in host.facts()["memory_limits"]}
    assert limited == {"postgres", "{{ 7*7 }}", "\x1b[31m\n"}


def test_ten_by_default_and_counts_of_all(host: Host) -> None:
    facts = host.facts()
    assert len(facts["processes"]) == 10 < facts["process_count"]
    rss = [process["rss"] for process in facts["processes"]]
    assert rss == sorted(rss, reverse=True)
    assert rss[0] == max(one["rss"] for one in json.loads(host.sysinfo.read_text())["processes"])


def test_top_cuts_every_list_and_no_count(host: Host) -> None:
    facts = host.facts(top=1, sort="pid")
    assert [process["pid"] for process in facts["processes"]] == [1]
    assert (facts["container_count"], len(facts["containers"])) == (2, 1)
    container = facts["containers"][0]
    assert (container["process_count"], len(container["processes"])) == (3, 1)
    assert facts["memory_limit_count"] == 3
    assert facts["memory_limits"] == json.loads(host.limits.read_text())[:1]


@pytest.mark.parametrize(
    ("subset", "keys"),
    [
        (["memory"], {"memory"}),
        (["processes"], {"process_count", "states", "processes", "taken_ns"}),
        (["containers"], {"container_count", "containers"}),
        (["modules"], {"modules"}),
        (["limits"], {"memory_limit_count", "memory_limits"}),
        (["wastebasket"], {"wastebasket"}),
        (["memory", "modules"], {"memory", "modules"}),
    ],
)
def test_a_subset_is_all_that_is_returned(host: Host, subset: list[str], keys: set[str]) -> None:
    host.fill_the_wastebasket()
    assert set(host.facts(gather_subset=subset)) == {"present", "reason", *keys}


def test_a_subset_needs_no_other_document(host: Host) -> None:
    host.unload("continfo")
    assert host.facts(gather_subset=["memory", "processes"])["present"]
    host.unload("sysinfo")
    assert host.run(gather_subset="memory")["failed"]


def test_the_limiter_is_optional(host: Host) -> None:
    host.unload("so2_memlimit")
    facts = host.facts()
    assert (facts["present"], facts["reason"]) == (True, None)
    assert not {"memory_limits", "memory_limit_count"} & set(facts)
    assert facts["modules"]["so2_memlimit"] == {"loaded": False, "state": None, "version": None}
    assert host.facts(gather_subset="modules")["present"]


@pytest.mark.parametrize("subset", [["limits"], ["all", "limits"], ["limits", "modules"]])
def test_a_limiter_that_is_asked_for_must_be_there(host: Host, subset: list[str]) -> None:
    host.unload("so2_memlimit")
    result = host.run(gather_subset=subset)
    assert result["failed"]
    assert "kernel module so2_memlimit is not loaded: run `ansible-playbook" in result["msg"]
    facts = host.facts(gather_subset=subset, missing="absent")
    assert facts["present"] is False
    assert facts["reason"] == result["msg"]


@pytest.mark.parametrize("subset", ["limits", "all"])
def test_a_limiter_that_is_there_must_be_readable(host: Host, subset: str) -> None:
    host.limits.write_text('[{"pid": 7}]')
    result = host.run(gather_subset=subset)
    assert result["failed"]
    assert "(limit 0 has no limit)" in result["msg"]
    assert "so2_memlimit" in result["msg"]
    facts = host.facts(gather_subset=subset, missing="absent")
    assert facts["reason"] == result["msg"]
    assert "memory_limits" not in facts


def test_a_limiter_that_is_part_of_the_kernel(host: Host) -> None:
    for name in ("initstate", "version"):
        (host.sys / "module" / "so2_memlimit" / name).unlink()
    facts = host.facts()
    assert facts["modules"]["so2_memlimit"] == {"loaded": True, "state": None, "version": None}
    assert facts["memory_limit_count"] == 3


def test_nobody_is_limited(host: Host) -> None:
    host.limits.write_text("[]\n")
    facts = host.facts()
    assert (facts["memory_limit_count"], facts["memory_limits"]) == (0, [])


def test_what_is_in_the_wastebasket(host: Host) -> None:
    host.fill_the_wastebasket()
    before = sorted(path.name for path in host.root.iterdir())
    facts = host.facts(gather_subset="wastebasket")
    assert facts["wastebasket"] == {"containers": 3, "size": 4_096}
    assert host.facts()["wastebasket"] == facts["wastebasket"]
    assert sorted(path.name for path in host.root.iterdir()) == before


@pytest.mark.parametrize("content", [None, b"no database", b""])
def test_a_wastebasket_that_cannot_be_read(host: Host, content: bytes | None) -> None:
    if content is not None:
        host.database.write_bytes(content)
    facts = host.facts()
    assert (facts["present"], facts["reason"]) == (True, None)
    assert "wastebasket" not in facts
    result = host.run(gather_subset=["all", "wastebasket"])
    assert result["failed"]
    assert f"{host.database} cannot be read (" in result["msg"]
    assert "use `become: true`" in result["msg"]
    assert host.database.exists() == (content is not None)


def test_a_fifo_in_the_place_of_the_database_does_not_hang_it(host: Host) -> None:
    os.mkfifo(host.database)
    assert "wastebasket" not in host.facts()
    assert "it is not a regular file" in host.run(gather_subset="wastebasket")["msg"]


def test_check_mode_gives_the_same(host: Host) -> None:
    assert host.facts(_ansible_check_mode=True) == host.facts()


def test_a_suffix_of_ones_own(host: Host) -> None:
    host.sysinfo.rename(host.proc / "sysinfo_so1_my-1_X")
    assert host.facts(suffix="my-1_X", gather_subset="memory")["present"]


def spoil_not_loaded(host: Host) -> None:
    host.unload("sysinfo")


def spoil_no_proc(host: Host) -> None:
    host.sysinfo.unlink()


def spoil_other_suffix(host: Host) -> None:
    host.sysinfo.rename(host.proc / "sysinfo_so1_other")


def spoil_truncated(host: Host) -> None:
    host.sysinfo.write_bytes(host.sysinfo.read_bytes()[:-9])


def spoil_old(host: Host) -> None:
    host.sysinfo.write_text('{"total_ram": 1, "free_ram": 1, "used_ram": 0, "Processes": []}')


def spoil_huge(host: Host) -> None:
    os.truncate(host.sysinfo, so1_facts.DOCUMENT_MAX + 1)


def spoil_directory(host: Host) -> None:
    host.sysinfo.unlink()
    host.sysinfo.mkdir()


def spoil_fifo(host: Host) -> None:
    host.sysinfo.unlink()
    os.mkfifo(host.sysinfo)


def spoil_unreadable_memory(host: Host) -> None:
    """Put a regular file there whose first byte cannot be read: EIO."""
    host.sysinfo.unlink()
    host.sysinfo.symlink_to("/proc/self/mem")


SPOILS = [
    (spoil_not_loaded, "module sysinfo is not loaded", "run `ansible-playbook site.yml"),
    (spoil_no_proc, "sysinfo is loaded, but there is no ", "set the option proc_root"),
    (spoil_other_suffix, "but there is sysinfo_so1_other", "set the option suffix to other."),
    (spoil_truncated, "(it is not one whole JSON document at", "load the module of this release"),
    (spoil_old, "(it has no processes)", "load the module of this release"),
    (spoil_huge, f"(it is longer than {64 << 20} bytes)", "load the module of this release"),
    (spoil_directory, "(it is not a regular file)", "load the module of this release"),
    (spoil_fifo, "(it is not a regular file)", "load the module of this release"),
    (spoil_unreadable_memory, "failed (Input/output error)", "kernel log"),
]


@pytest.mark.parametrize(("spoil", "why", "remedy"), SPOILS)
def test_what_cannot_be_had_fails_with_what_to_do(
    host: Host, spoil: Any, why: str, remedy: str
) -> None:
    spoil(host)
    result = host.run()
    assert result["failed"]
    assert why in result["msg"]
    assert remedy in result["msg"].partition(why)[2]
    assert len(result["msg"].splitlines()) == 1
    assert "ansible_facts" not in result


@pytest.mark.parametrize(("spoil", "why", "remedy"), SPOILS)
def test_what_cannot_be_had_is_absent_on_request(
    host: Host, spoil: Any, why: str, remedy: str
) -> None:
    spoil(host)
    facts = host.facts(missing="absent")
    assert facts["present"] is False
    assert why in facts["reason"]
    assert remedy in facts["reason"]
    others = {"container_count", "containers", "modules", "memory_limit_count", "memory_limits"}
    assert set(facts) == {"present", "reason", *others}


def test_each_absent_document_has_its_reason(host: Host) -> None:
    host.unload("sysinfo")
    host.unload("continfo")
    facts = host.facts(missing="absent")
    others = {"modules", "memory_limit_count", "memory_limits"}
    assert set(facts) == {"present", "reason", *others}
    assert "sysinfo is not loaded" in facts["reason"]
    assert "continfo is not loaded" in facts["reason"]
    assert host.run()["msg"].count("not loaded") == 1


def test_a_host_without_proc_and_sys(host: Host) -> None:
    shutil.rmtree(host.root)
    assert "sysinfo is not loaded" in host.run()["msg"]


def test_modules_alone_never_fail(host: Host) -> None:
    host.unload("continfo")
    facts = host.facts(gather_subset="modules")
    assert facts["modules"]["continfo"] == {"loaded": False, "state": None, "version": None}
    assert facts["modules"]["sysinfo"]["loaded"] is True
    assert facts["present"] is False
    assert "continfo is not loaded" in facts["reason"]


def test_a_module_that_gives_no_version(host: Host) -> None:
    (host.sys / "module" / "sysinfo" / "version").unlink()
    (host.sys / "module" / "sysinfo" / "initstate").write_bytes(b"x" * 10_000)
    facts = host.facts(gather_subset="modules")
    assert facts["modules"]["sysinfo"] == {"loaded": True, "state": None, "version": None}
    assert facts["present"]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom permissions hold back; whoever is not root is one already."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_document_that_this_user_may_not_read(host: Host) -> None:
    host.sysinfo.chmod(0)
    source = so1_facts.Source(host.proc, host.sys, SUFFIX)
    with unprivileged(), pytest.raises(so1_facts.DocumentError) as caught:
        source.read("sysinfo", so1_facts.parse_sysinfo)
    assert f"may not read {host.sysinfo}: use `become: true`" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"top": -1}, "top must be 0"),
        ({"top": "many"}, "'top'"),
        ({"suffix": "../../etc/passwd"}, "suffix must be"),
        ({"suffix": ""}, "suffix must be"),
        ({"suffix": "a\n"}, "suffix must be"),
        ({"sort": "state"}, "sort must be one of"),
        ({"gather_subset": ["memory", "network"]}, "gather_subset must be one or more of"),
        ({"missing": "ignore"}, "missing must be one of"),
        ({"limit": 3}, "Unsupported parameters"),
    ],
)
def test_options_out_of_range_are_refused(host: Host, options: dict[str, Any], why: str) -> None:
    result = host.run(**options)
    assert result["failed"]
    assert why in result["msg"]


def test_five_thousand_processes_do_not_flood_the_terminal(host: Host) -> None:
    document = json.loads(host.sysinfo.read_text())
    one = document["processes"][0]
    document["processes"] = [{**one, "pid": pid} for pid in range(1, 5001)]
    host.sysinfo.write_text(json.dumps(document))
    containers = [
        {**one, "pid": pid, "container_id": f"{pid % 500:064x}"} for pid in range(1, 5001)
    ]
    host.continfo.write_text(json.dumps(containers))
    limit = json.loads(host.limits.read_text())[0]
    host.limits.write_text(json.dumps([{**limit, "pid": pid} for pid in range(1, 5001)]))
    facts = host.facts()
    assert (facts["process_count"], facts["container_count"]) == (5000, 500)
    assert facts["memory_limit_count"] == 5000
    assert len(facts["processes"]) == len(facts["containers"]) == 10
    assert len(facts["memory_limits"]) == 10
    assert len(json.dumps(facts, indent=1).splitlines()) < 1500
