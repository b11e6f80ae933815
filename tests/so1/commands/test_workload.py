# SPDX-License-Identifier: MIT
"""`so1 workload generate`, as often as chance needs to show all it can do."""

import random
from collections import Counter

import pytest

from so1 import workload
from so1.commands.workload import _generate
from so1.config import Config


def test_one_to_five_of_every_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workload, "places", lambda _, maximum: maximum)
    chance = random.Random(1)
    made: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    for _ in range(500):
        _generate(Config(), None, chance, dry_run=True, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith("would make so1-") for line in lines)
        made[len(lines)] += 1
        kinds.update(line.partition(": ")[2] for line in lines)
    assert set(made) == {1, 2, 3, 4, 5}
    assert set(kinds) == {
        "low, alpine sleep 600",
        "high, polinux/stress stress --cpu 1 --timeout 600",
        "high, polinux/stress stress --vm 1 --vm-bytes 64M --vm-hang 0 --timeout 600",
    }
