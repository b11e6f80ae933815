# SPDX-License-Identifier: MIT
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1 import workload
from so1.config import Workload

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SETTINGS = Workload(high_commands=[["one"], ["two"]])


@given(st.integers(0, 50), st.integers())
def test_kinds_and_names(count: int, seed: int) -> None:
    loads = workload.choose(count, SETTINGS, random.Random(seed), NOW)
    assert len({load.name for load in loads}) == count
    for load in loads:
        assert re.fullmatch(rf"so1-{load.class_}-20260102-030405-[0-9a-f]{{8}}", load.name)
        if load.class_ == "low":
            assert (load.image, load.command) == (SETTINGS.low_image, SETTINGS.low_command)
        else:
            assert load.image == SETTINGS.high_image
            assert load.command in SETTINGS.high_commands


def test_every_kind_comes_up() -> None:
    loads = workload.choose(100, SETTINGS, random.Random(1), NOW)
    kinds = {(load.class_, *load.command) for load in loads}
    assert kinds == {("low", *SETTINGS.low_command), ("high", "one"), ("high", "two")}


@pytest.mark.parametrize(("running", "free"), [(0, 3), (2, 1), (3, 0), (5, 0)])
def test_there_is_never_room_for_less_than_none(running: int, free: int) -> None:
    engine = Mock()
    engine.managed.return_value = [(None, "running")] * running + [(None, "exited")] * 2
    assert workload.places(engine, 3) == free


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with workload.alone(tmp_path), pytest.raises(workload.BusyError), workload.alone(tmp_path):
        pass
    with workload.alone(tmp_path):
        pass


def test_the_lock_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"), workload.alone(tmp_path / "absent"):
        pass
