# SPDX-License-Identifier: MIT
"""The governor against a Docker Engine that the run starts itself."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from so1 import config
from so1.commands import measure
from so1.config import Config, Policy
from so1.docker_engine import Engine
from so1.governor import checks, recreate
from so1.governor.governor import Governor
from so1.governor.policy import plan
from so1.model import ContainerUsage
from tests.so1.governor.charged import boottime, with_memory
from tests.so1.governor.containers import SECOND, journal
from tests.support.docker_engine import IMAGE, LiveEngine

pytestmark = pytest.mark.engine
NONE_KEPT = Policy(trash_hours=0, keep_low=0, keep_high=0, grace=0, stop_timeout=2)


@pytest.fixture
def ours(engine: LiveEngine) -> Engine:
    return Engine(engine.settings)


def measured(ours: Engine) -> list[ContainerUsage]:
    """What the daemon would hand to the governor."""
    settled = Config(snapshot=config.Snapshot(source="procfs"))
    return with_memory(measure.take(settled, 0, ours.running()).containers)


def made(ours: Engine, policy: Policy) -> Governor:
    return Governor(ours, policy, journal())


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def holding(mib: int) -> str:
    """A command that holds so much RAM."""
    return f"x=$(yes | busybox head -c {mib}m); busybox sleep 600; echo $x"


def test_an_emergency_leaves_the_quotas_and_what_is_not_managed(
    engine: LiveEngine, ours: Engine
) -> None:
    for number in range(7):
        engine.managed(f"low-{number}", "low")
    for number in range(5):
        engine.managed(f"high-{number}", "high", command=holding(2 * number + 2))
    engine.start("web", command=holding(20))
    engine.start("database", labels={"so1.managed": "false"})

    def grown() -> bool:
        ram = {usage.container.name: usage.memory or 0 for usage in measured(ours)}
        return all(ram[f"high-{n}"] > 2048 * (n + 1) for n in range(5)) and ram["web"] > 20480

    wait_until(grown)
    usages = measured(ours)
    assert len(usages) == 14
    # All of them are young, which does not help them.
    events = made(ours, Policy(trash_hours=0, grace=3600, stop_timeout=2)).govern(
        usages, boottime()
    )
    left = engine.names("-a")
    assert {"web", "database"} <= left
    assert {name for name in left if name.startswith("high")} == {"high-0", "high-1"}
    assert len([name for name in left if name.startswith("low")]) == 3
    assert [(e.kind, e.outcome, e.rule) for e in events] == [("remove", "done", "emergency")] * 7
    assert all(e.recreate for e in events)
    high = [e for e in events if e.class_ == "high"]
    high.sort(key=lambda e: e.container_name or "", reverse=True)
    assert [e.container_name for e in high] == ["high-4", "high-3", "high-2"]
    assert high[0].ram_usage == next(u.memory for u in usages if u.container.name == "high-4")
    # A second look finds nothing left to do.
    assert made(ours, Policy(trash_hours=0, grace=0)).govern(measured(ours), boottime()) == []


def test_the_grace_period(engine: LiveEngine, ours: Engine) -> None:
    for number in range(3):
        engine.managed(f"high-{number}", "high")
    governor = made(ours, Policy(trash_hours=0, keep_high=0, grace=600))
    assert governor.govern(measured(ours), boottime()) == []
    assert len(engine.names()) == 3
    # As old as it takes, they go.
    later = boottime() + 700 * SECOND
    assert [e.outcome for e in governor.govern(measured(ours), later)] == ["done"] * 3
    assert engine.names() == set()


def test_a_restart_counts_as_young_though_the_list_does_not_show_it(
    engine: LiveEngine, ours: Engine
) -> None:
    engine.managed("high", "high")
    time.sleep(3)
    policy = Policy(trash_hours=0, keep_high=0, grace=2.5)
    governor = made(ours, policy)
    usages = measured(ours)
    engine.docker("restart", "high")
    assert not plan(usages, policy, boottime()).verdicts[0].keep
    assert governor.govern(usages, boottime()) == []
    (young,) = measured(ours)
    second = (young.container.started_ns or 0) + SECOND
    assert plan([young], policy, second).verdicts[0].rule == "grace-period"
    assert engine.names() == {"high"}


def test_between_plan_and_act_one_goes_one_restarts_one_is_replaced(
    engine: LiveEngine, ours: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "stopped", "restarted", "replaced", "stays"):
        engine.managed(name)
    look_again = checks.look_again

    def then_changed(*arguments: Any, **named: Any) -> checks.Look:
        look = look_again(*arguments, **named)
        assert len(look.usages) == 5
        engine.docker("rm", "--force", "gone")
        engine.docker("stop", "stopped")
        engine.docker("restart", "restarted")
        engine.docker("rm", "--force", "replaced")
        engine.start("replaced")
        return look

    monkeypatch.setattr(checks, "look_again", then_changed)
    events = made(ours, NONE_KEPT).govern(measured(ours), boottime())
    outcomes = {e.container_name: (e.outcome, e.detail) for e in events}
    assert outcomes["stays"][0] == "done"
    assert outcomes["gone"] == ("refused", "Not removed: it is gone already.")
    assert outcomes["replaced"] == ("refused", "Not removed: it is gone already.")
    assert outcomes["stopped"] == ("refused", "Not removed: it has stopped by itself.")
    assert outcomes["restarted"][0] == "refused"
    assert "started again" in outcomes["restarted"][1]
    assert engine.names() == {"restarted", "replaced"}
    assert engine.names("-a") == {"restarted", "replaced", "stopped"}


def test_one_that_does_not_listen_is_killed(engine: LiveEngine, ours: Engine) -> None:
    ignores = "trap '' TERM INT QUIT; while :; do busybox sleep 1; done"
    engine.managed("deaf", "low", "--stop-signal", "TERM", command=ignores)
    (event,) = made(ours, NONE_KEPT).govern(measured(ours), boottime())
    assert event.outcome == "done"
    assert engine.names("-a") == set()


def test_one_that_cannot_be_stopped_does_not_stop_the_rest(
    engine: LiveEngine,
) -> None:
    ours = Engine(msgspec.structs.replace(engine.settings, timeout=2))
    for name in ("stuck", "one", "two"):
        engine.managed(name)
    governor = made(ours, msgspec.structs.replace(NONE_KEPT, stop_timeout=1))
    usages = measured(ours)
    with engine.paused(engine.shim("stuck")):
        events = governor.govern(usages, boottime())
        outcomes = {e.container_name: e.outcome for e in events}
        assert outcomes == {"stuck": "failed", "one": "done", "two": "done"}
        # It stays so, and is not told again.
        stuck = [usage for usage in usages if usage.container.name == "stuck"]
        assert governor.govern(stuck, boottime()) == []

    def gone() -> bool:
        governor.govern(measured(ours), boottime())
        return engine.names("-a") == set()

    wait_until(gone)


def test_volumes_are_never_removed(engine: LiveEngine, ours: Engine) -> None:
    engine.managed("plain", "low", "--volume=data:/data", "--volume=/anonymous")
    engine.managed("named", "low", "--rm", "--volume=data:/data")
    engine.managed("fleeting", "low", "--rm", "--volume=/anonymous")
    volumes = set(engine.docker("volume", "ls", "-q").stdout.split())
    assert len(volumes) == 3
    events = made(ours, NONE_KEPT).govern(measured(ours), boottime())
    outcomes = {e.container_name: e for e in events}
    assert outcomes["plain"].outcome == outcomes["named"].outcome == "done"
    assert "its volumes are kept" in outcomes["plain"].detail
    # The engine itself would remove the volume with a container that was started with --rm.
    assert outcomes["fleeting"].outcome == "refused"
    assert "volumes are never removed" in outcomes["fleeting"].detail
    wait_until(lambda: engine.names("-a") == {"fleeting"})
    assert set(engine.docker("volume", "ls", "-q").stdout.split()) == volumes


def test_observe_removes_nothing(engine: LiveEngine, ours: Engine) -> None:
    for number in range(3):
        engine.managed(f"low-{number}")
    governor = made(ours, msgspec.structs.replace(NONE_KEPT, mode="observe"))
    events = governor.govern(measured(ours), boottime())
    assert [(e.outcome, e.rule) for e in events] == [("planned", "excess-low")] * 3
    assert all(e.detail.startswith("Would be removed: ") for e in events)
    assert governor.govern(measured(ours), boottime()) == []
    assert len(engine.names()) == 3


SAME = ("Config", "HostConfig", "Path", "Args", "Name")
"""Of what the engine says, what makes one container like another."""


def alike(inspected: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps({key: inspected[key] for key in SAME}))
    settings, host = found["Config"], found["HostConfig"]
    # A host's name that comes from the id differs from container to container.
    if settings["Hostname"] == inspected["Id"][:12]:
        settings["Hostname"] = ""
    # Where the output went when it was started, and how the volumes came to be.
    for key in ("AttachStdout", "AttachStderr", "AttachStdin", "StdinOnce", "Volumes"):
        settings.pop(key)
    # "Mounts" has them all; one without a name comes back by the name that it got.
    host.pop("Binds")
    settings["Env"].sort()
    # The two clients differ in whether they write down nothing as nothing.
    for section in (settings, host):
        for key in [key for key, value in section.items() if not value]:
            del section[key]
    host.pop("ConsoleSize", None)
    found["Mounts"] = sorted(
        (m["Type"], m.get("Name", ""), m["Destination"], m["RW"]) for m in inspected["Mounts"]
    )
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        f"{IMAGE}",
        f"--memory 64m --memory-swap 96m --cpus 0.5 --pids-limit 20 --cpu-shares 512 {IMAGE}",
        f"--label 'a=b c' --label empty= --label '$HOME=`id`' {IMAGE} sleep 777",
        f"--user 1000:1000 --workdir /tmp --hostname db --read-only --tmpfs /run:size=1m {IMAGE}",
        f"--uts host --pid host --ipc host --cap-add NET_ADMIN --cap-drop MKNOD {IMAGE}",
        f"--entrypoint sh {IMAGE} -c 'echo \"it'\\''s\" $PATH; exec sleep 600'",
        f"--entrypoint sh {IMAGE} -c $'echo a\\tb\nsleep 600'",
        f"--restart on-failure:3 --stop-signal INT --stop-timeout 7 --ulimit nofile=99:99 {IMAGE}",
        f"--volume data:/data --volume /anonymous --volume /tmp:/host:ro {IMAGE}",
        f"--mount type=volume,source=vv,target=/v --mount type=tmpfs,target=/t {IMAGE}",
        f"--publish 127.0.0.1:8080:80 --publish 9000-9001:9000-9001/udp --expose 7 {IMAGE}",
        f"--health-cmd 'exit 0' --health-interval 9s --health-retries 4 {IMAGE}",
        f"--env SECRET=hunter2 --env 'WITH=a b' --env LANG=C {IMAGE}",
        f"--dns 10.0.0.1 --add-host a:10.0.0.2 --sysctl net.ipv4.ip_forward=0 --init=false {IMAGE}",
        f"--log-driver json-file --log-opt max-size=1m --group-add 7 --oom-score-adj 9 {IMAGE}",
        f"--ipc shareable --security-opt systempaths=unconfined --init=false {IMAGE}",
        f"--mount type=bind,source=/tmp,target=/t,bind-recursive=disabled {IMAGE}",
    ],
)  # fmt: skip
def test_the_command_line_brings_it_back(engine: LiveEngine, ours: Engine, arguments: str) -> None:
    words = ["--detach", "--name", "web", "--network", "none", *shell_words(arguments)]
    id_ = engine.docker("run", *words).stdout.strip()
    before = engine.inspect(id_)
    looked = ours.inspect(id_)
    made = recreate.command(
        looked.raw, ours.inspect_image(looked.image_id), ours.inspect_image(looked.image)
    )
    assert "hunter2" not in made.command
    engine.docker("rm", "--force", "web")
    secrets = {"SECRET": "hunter2", "WITH": "a b", "LANG": "C"}
    done = subprocess.run(
        ["bash", "-c", made.command],
        env={**engine.environment, **secrets},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert alike(engine.inspect("web")) == alike(before)


def shell_words(line: str) -> list[str]:
    """Split a line as bash does."""
    script = f"printf '%s\\0' {line}"
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    return said.decode().split("\0")[:-1]
