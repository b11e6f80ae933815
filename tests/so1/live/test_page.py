# SPDX-License-Identifier: MIT
"""What `so1 top --once` prints."""

import io

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from so1.live.page import WIDTH, page
from so1.model import Container, ContainerUsage
from so1.sample import Sample
from tests.so1.live.hosts import host, shown
from tests.so1.processes import typed


def lines(sample: Sample, trouble: str = "", width: int = WIDTH) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(page(sample, "ram", trouble))
    found = [line.rstrip() for line in file.getvalue().splitlines()]
    assert max(map(cell_len, found)) <= width
    return found


def crowded(containers: int, processes: int) -> Sample:
    """A host with so many more of each than `host` has, all smaller."""
    usages = [
        ContainerUsage(
            Container(f"{n:064x}", f"project-service-{n}", "registry/app:1", {}, 0), 0, 0, 0
        )
        for n in range(containers)
    ]
    made = host()
    more = [typed(1000 + n, name=f"worker/{n}:a-long-name", rss=1) for n in range(processes)]
    snapshot = replace(made.snapshot, processes=[*made.snapshot.processes, *more])
    return replace(made, strangers=usages, snapshot=snapshot)


@pytest.mark.parametrize("width", [WIDTH, 132])
def test_figures_are_whole_and_names_give_way(width: int) -> None:
    found = lines(crowded(3, 3), width=width)
    (name, *figures, image) = next(line.split() for line in found if line.startswith("batch-"))
    assert figures == ["unmanaged", "1", "506.0", "512.0", "500.0", "99.0", "unhealthy"]
    whole = ("batch-of-the-night", "registry/java:21")
    assert (name, image) == whole or (width == WIDTH and name == whole[0] and image[-1] == "…")
    (java,) = [line.split() for line in found if " java " in line]
    assert java == ["300", "disk-sleep", "1", "500.0", "99.0", "java", "batch-of-the-night"]


def test_ten_of_each_are_shown_and_the_rest_is_counted() -> None:
    found = lines(crowded(9, 5))
    assert sum("project-service-" in line for line in found) == 7
    assert sum(" worker/" in line for line in found) == 3
    assert "and 2 more containers" in found
    assert "and 2 more processes" in found
    assert len(found) < 32


def test_all_are_shown_where_they_fit() -> None:
    assert not [line for line in lines(host()) if "more" in line]


def test_no_container_is_no_table() -> None:
    found = lines(replace(host(), containers=[], strangers=[]))
    assert not [line for line in found if line.startswith("CONTAINER")]
    assert " 0 containers" in found[0]


def test_what_does_not_work_is_said_whole() -> None:
    said = "one sentence \x1b[2J that is longer than a line " * 3
    assert "\\x1b" in (told := " ".join(lines(shown().sample, said)))
    assert told.count("longer than a line") == 3
