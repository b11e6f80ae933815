# SPDX-License-Identifier: MIT
"""A run over hosts that are set up does nothing on the controller once for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.fleet import controller
from tests.support.plays import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def tasks(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in found:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part, []))


def test_what_is_started_does_not_grow_with_the_hosts(tmp_path: Path) -> None:
    few, many = (controller.run(tmp_path / str(hosts), hosts) for hosts in (2, 40))
    # Two kinds of hosts, two calls; one set of sources, one call.
    assert few.started == many.started == {"wheels": 2, "sources": 1}


def test_no_other_task_starts_anything_on_the_controller_for_each_host() -> None:
    """Those that do are run once, or only for a host on which there is something to do."""
    files = [*REPOSITORY.glob("roles/*/tasks/*.yml"), *REPOSITORY.glob("roles/*/handlers/*.yml")]
    starting = {
        task["name"]: task
        for path in files
        for task in tasks(yaml.safe_load(path.read_text()))
        if "block" not in task
        and ("delegate_to" in task or "local_action" in task or "builtin.pipe" in str(task))
    }
    assert len(starting) >= 3
    often = {name for name, task in starting.items() if not task.get("run_once")}
    # Where a module is not built.
    assert often == {"The modules are built and installed, the new ones before the old ones go"}
    assert starting[often.pop()]["when"] == "kernel_modules_missing | length > 0"
