# SPDX-License-Identifier: MIT
"""What tells one start of a container from the next."""

from pathlib import Path

import pytest

from so1.first_process import start_ns
from tests.support import cgroups


def test_a_start_is_told_by_the_clock_that_nobody_sets(tmp_path: Path) -> None:
    cgroups.process(tmp_path, 7, "/docker/abc", start=250)
    assert start_ns(7, "abc", tmp_path) == 2_500_000_000


@pytest.mark.parametrize(("pid", "container"), [(8, "abc"), (0, "abc"), (7, "def")])
def test_what_is_not_this_containers_process_tells_nothing(
    tmp_path: Path, pid: int, container: str
) -> None:
    cgroups.process(tmp_path, 7, "/docker/abc")
    assert start_ns(pid, container, tmp_path) is None
