# SPDX-License-Identifier: MIT
"""Every key that the kernel writes under /proc is in docs/formats.md, and none that it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from so1.model import MemoryLimit, Process
from tests.docs.pages import ROOT, code, rows, section

if TYPE_CHECKING:
    import msgspec

PAGE = (ROOT / "docs/formats.md").read_text()
_FIELD = re.compile(r'so1_put_(?:signed_)?field\(\s*doc,\s*"(\w+)"|\\"(\w+)\\":')


def written(*sources: str) -> set[str]:
    """The keys in what the modules' sources put into a document."""
    text = "".join((ROOT / "kernel" / source).read_text() for source in sources)
    return {"".join(found) for found in _FIELD.findall(text)}


def described(heading: str) -> set[str]:
    """The keys in the tables under a heading."""
    table = rows(section(PAGE, heading))
    return {name for row in table if row[0].startswith("`") for name in code(row[0])}


PROCESS = written("procinfo/so1_process.h")
LIMIT = written("memlimit/so2_proc.c")


def test_every_key_of_sysinfo_is_described_and_no_other() -> None:
    assert {"pid", "name", "nice", "container_id"} <= PROCESS
    there = written("procinfo/sysinfo.c") | PROCESS
    assert {"total_ram", "processes"} <= there
    assert described("## /proc/sysinfo_so1_SUFFIX") == there


def test_every_key_of_the_limiter_s_list_is_described_and_no_other() -> None:
    assert {"pid", "peak_size"} <= LIMIT
    assert described("## /proc/so2_memory_limits") == LIMIT


@pytest.mark.parametrize(("kind", "keys"), [(Process, PROCESS), (MemoryLimit, LIMIT)])
def test_the_package_reads_no_key_that_the_kernel_does_not_write(
    kind: type[msgspec.Struct], keys: set[str]
) -> None:
    assert set(kind.__struct_fields__) <= keys


def test_the_facts_of_a_process_are_keys_that_the_kernel_writes() -> None:
    source = (ROOT / "library/so1_facts.py").read_text()
    (documentation,) = re.findall(r'^RETURN = r?"""(.*?)"""', source, re.DOTALL | re.MULTILINE)
    so1 = yaml.safe_load(documentation)["ansible_facts"]["contains"]["so1"]["contains"]
    facts = set(so1["processes"]["contains"])
    assert "start_ns" in facts
    assert facts <= PROCESS
