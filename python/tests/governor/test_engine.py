# SPDX-License-Identifier: MIT
"""The governor against a Docker Engine that the run starts itself."""

import os
import time
from collections.abc import Callable

import msgspec
import pytest

from so1 import sources, tick
from so1.config import Governor as Policy
from so1.engine import Engine
from so1.governor.act import Governor
from so1.model import ContainerUsage
from tests.engine import LiveEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="starts a Docker Engine, which takes root"),
]
POLICY = Policy(grace=0, stop_timeout=2)


def measured(ours: Engine) -> list[ContainerUsage]:
    """What the daemon would hand to the governor."""
    snapshot = sources.take("procfs", "")
    return tick.usages(ours.running(), snapshot.by_container, lambda process: float(process.cpu))


def later(seconds: float = 0) -> float:
    """A time at which what has been started is measured."""
    return time.time() + seconds


@pytest.fixture
def ours(engine: LiveEngine) -> Engine:
    return Engine(engine.settings)


def test_an_emergency_leaves_the_quotas_and_what_is_not_managed(
    engine: LiveEngine, ours: Engine
) -> None:
    for number in range(7):
        engine.managed(f"low-{number}", "low")
    # Each holds a string of another size, so that the order is known.
    for number in range(5):
        size = 2 * (number + 1)
        engine.managed(
            f"high-{number}",
            "high",
            command=f"x=$(yes | busybox head -c {size}m); busybox sleep 600; echo $x",
        )
    engine.start("web")
    engine.start("database", labels={"so1.managed": "false"})
    wait_until(lambda: grown(measured(ours)))
    usages = measured(ours)
    assert len(usages) == 14
    events = Governor(ours, msgspec.structs.replace(POLICY, grace=3600)).govern(usages, later())
    left = engine.names()
    assert {"web", "database"} <= left
    assert {name for name in left if name.startswith("high")} == {"high-0", "high-1"}
    assert len([name for name in left if name.startswith("low")]) == 3
    assert [(e.kind, e.outcome, e.rule) for e in events] == [("remove", "done", "emergency")] * 7
    assert all(e.recreate for e in events)
    high = [e for e in events if e.class_ == "high"]
    assert [e.container_name for e in high] == ["high-4", "high-3", "high-2"]
    # A second look finds nothing left to do.
    assert not Governor(ours, POLICY).govern(measured(ours), later())


def grown(usages: list[ContainerUsage]) -> bool:
    ram = {usage.container.name: usage.ram for usage in usages}
    return all(ram[f"high-{n}"] > 2048 * (n + 1) for n in range(5))


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
