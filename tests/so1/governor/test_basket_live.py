# SPDX-License-Identifier: MIT
"""The wastebasket against a Docker Engine that the run starts itself."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from so1.cli import main
from so1.config import Policy
from so1.docker_engine import Engine
from so1.governor.governor import Governor
from so1.store.database import Database
from so1.store.removals import Removals
from tests.so1.governor.charged import boottime, with_memory
from tests.so1.governor.test_live import measured, shell_words
from tests.support.docker_engine import IMAGE, LiveEngine

pytestmark = pytest.mark.engine
COUNT = int(os.environ.get("SO1_BASKET_CONTAINERS", "12"))
"""How many random containers are removed and taken back."""
NOBODY = Policy(keep_low=0, keep_high=0, grace=0, stop_timeout=1, undo_spare_hours=0)
OPTIONS = (
    "--memory 64m --memory-swap 96m",
    "--cpus 0.5 --pids-limit 20",
    "--cpu-shares 512",
    "--label 'a=b c' --label empty=",
    "--user 1000:1000 --workdir /tmp",
    "--hostname db",
    "--tmpfs /run:size=1m",
    "--cap-add NET_ADMIN --cap-drop MKNOD",
    "--stop-timeout 1 --ulimit nofile=99:99",
    "--volume /anonymous",
    "--volume /tmp:/host:ro",
    "--mount type=tmpfs,target=/t",
    "--health-cmd 'exit 0' --health-interval 9s --health-retries 4",
    "--env SECRET=hunter2 --env 'WITH=a b'",
    "--add-host a:10.0.0.2",
    "--log-driver json-file --log-opt max-size=1m --group-add 7 --oom-score-adj 9",
    "--ipc shareable --security-opt systempaths=unconfined",
    "--shm-size 8m --sysctl net.ipv4.ip_forward=0",
    "--init=false --cgroupns host",
)
RESTART = ("no", "always", "unless-stopped", "on-failure:3")
# What differs between two starts of one container.
STARTS = {
    "State": ("StartedAt", "FinishedAt", "Pid", "ExitCode", "Health"),
    "NetworkSettings": ("SandboxID", "SandboxKey"),
}


def drawn(chance: Random) -> list[str]:
    chosen = chance.sample(OPTIONS, chance.randrange(1, 7))
    return shell_words(" ".join([*chosen, "--restart", chance.choice(RESTART)]))


def alike(found: dict[str, Any]) -> dict[str, Any]:
    same: dict[str, Any] = json.loads(json.dumps(found))
    for section, keys in STARTS.items():
        for key in keys:
            same[section].pop(key, None)
    for endpoint in same["NetworkSettings"]["Networks"].values():
        endpoint.pop("EndpointID")
    same.pop("RestartCount")
    # The engine lists them in any order.
    same["Mounts"].sort(key=lambda mount: str(mount["Destination"]))
    return same


class Host:
    """A governor with its database, and the command line beside it."""

    def __init__(self, live: LiveEngine, folder: Path) -> None:
        self.live, self.folder = live, folder
        self.engine = Engine(live.settings)
        self.database = Database(folder / "metrics.db")
        self.governor = Governor(self.engine, NOBODY, Removals(self.database))
        self.config = folder / "config.toml"
        self.config.write_text(
            f'[store]\npath = "{folder}/metrics.db"\n[docker]\nhost = "{live.host}"\n'
            "[governor]\nkeep_low = 0\nkeep_high = 0\ngrace = 0\nstop_timeout = 1\n"
        )

    def tick(self) -> list[tuple[str, str]]:
        def tell(event: Any) -> None:
            self.database.add_events([event])

        usages = with_memory(measured(self.engine))
        events = self.governor.govern(usages, boottime(), tell)
        return [(event.kind, event.outcome) for event in events]

    def so1(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            main, ["--config", str(self.config), *arguments], catch_exceptions=False
        )


@pytest.fixture
def host(engine: LiveEngine, tmp_path: Path) -> Iterator[Host]:
    made = Host(engine, tmp_path)
    yield made
    made.database.close()


def test_random_containers_come_back_as_they_were(host: Host, engine: LiveEngine) -> None:
    chance = Random(16)
    engine.docker("network", "create", "--subnet", "10.99.7.0/24", "net")
    # It outlives five hundred.
    engine.start("stranger", command="busybox sleep 86400")
    stranger = engine.inspect("stranger")
    for first in range(0, COUNT, 12):
        names = [f"c{number}" for number in range(first, min(COUNT, first + 12))]
        for name in names:
            network = chance.choice(["none", "none", "net"])
            alias = ["--network-alias", f"alias-{name}"] if network == "net" else []
            engine.docker(
                *("run", "--detach", "--name", name, "--network", network, *alias),
                *("--label", "so1.managed=true", "--label", "so1.class=low", "--tty"),
                *("--volume", f"v-{name}:/data", "--stop-signal", "KILL", *drawn(chance)),
                *(IMAGE, "sh", "-c", "busybox sleep 600"),
            )
            engine.docker(
                *("exec", "--user", "0", name, "sh", "-c"),
                f"echo own-{name} > /own; echo kept-{name} > /data/kept",
            )
        before = {name: engine.inspect(name) for name in names}
        assert set(names) <= engine.names()
        went: list[tuple[str, str]] = []
        while set(names) & engine.names():
            went += host.tick()
        assert went.count(("remove", "done")) == len(names), went
        assert not set(names) & engine.names("-a")
        host.tick()
        for name in names:
            result = host.so1("undo", name)
            assert result.exit_code == 0, result.output
        for name in names:
            assert alike(engine.inspect(name)) == alike(before[name])
            said = engine.docker(
                "exec", "--user", "0", name, "sh", "-c", "cat /own /data/kept"
            ).stdout
            assert said == f"own-{name}\nkept-{name}\n"
        engine.docker("rm", "--force", *names)
    assert engine.inspect("stranger") == stranger
    engine.docker("network", "rm", "net")


def test_names_are_free_and_undo_says_who_has_them(host: Host, engine: LiveEngine) -> None:
    engine.docker("network", "create", "net")
    options = ("--network", "net", "--network-alias", "alias")
    labels = ("--label", "so1.managed=true", "--stop-signal", "KILL")
    id_ = engine.docker("run", "-d", "--name", "web", *options, *labels, IMAGE).stdout.strip()
    assert host.tick() == [("remove", "done")]
    engine.docker("run", "-d", "--name", "web", *options, "--stop-signal", "KILL", IMAGE)
    result = host.so1("undo", id_)
    assert result.exit_code == 1
    assert "already in use" in result.output
    assert engine.inspect(id_)["Name"] == f"/so1-trash-{id_[:12]}-web"
    assert not engine.inspect(id_)["State"]["Running"]
    assert engine.inspect(id_)["HostConfig"]["RestartPolicy"]["Name"] == "no"
    engine.docker("rm", "--force", "web")
    assert host.so1("undo", id_).exit_code == 0
    assert engine.inspect("web")["Id"] == id_
    engine.docker("rm", "--force", "web")
    engine.docker("network", "rm", "net")


def test_made_anew_after_it_is_gone_for_good(
    host: Host, engine: LiveEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.managed("web", "low", "--volume=/anonymous", "--env=SECRET=hunter2", "--memory=64m")
    before = engine.inspect("web")
    assert host.tick() == [("remove", "done")]
    host.tick()
    assert host.so1("trash", "empty", "--yes").output == "removed web\n"
    assert engine.names("-a") == set()
    monkeypatch.setenv("SECRET", "hunter2")
    result = host.so1("undo", "web")
    assert result.exit_code == 0, result.output
    after = engine.inspect("web")
    for key in ("Env", "Labels", "Cmd", "Image", "StopSignal"):
        assert sorted(after["Config"][key]) == sorted(before["Config"][key])
    for key in ("Memory", "RestartPolicy", "NetworkMode", "PidsLimit"):
        assert after["HostConfig"][key] == before["HostConfig"][key]
    assert [m["Name"] for m in after["Mounts"]] == [m["Name"] for m in before["Mounts"]]


STEPS = ("stop", "set_restart", "rename", "start")


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_killed_around_each_act_it_is_neither_lost_nor_doubled(
    host: Host, engine: LiveEngine, step: str, *, after: bool, restarted: bool
) -> None:
    id_ = engine.managed("web", "low", "--restart=always")
    engine.start("stranger", "--restart=always")
    undoing = step == "start"
    if undoing:
        assert host.tick() == [("remove", "done")]
        host.tick()
    host.database.close()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            die_at(step, after=after)
            again = Host(engine, host.folder)
            if undoing:
                again.so1("undo", "web")
            else:
                again.tick()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    if restarted:
        engine.restart()
    resumed = Host(engine, host.folder)
    for _ in range(3):
        resumed.tick()
    resumed.database.close()
    found = engine.docker("ps", "-aq", "--no-trunc").stdout.split()
    assert len(found) == 2
    now = engine.inspect(id_)
    name = "/web" if undoing else f"/so1-trash-{id_[:12]}-web"
    if undoing:
        # Its spare time is 0 here: it may have gone again.
        assert now["Name"] in (name, f"/so1-trash-{id_[:12]}-web")
    else:
        assert (now["Name"], now["State"]["Running"]) == (name, False)
        assert now["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert engine.inspect("stranger")["HostConfig"]["RestartPolicy"]["Name"] == "always"


def die_at(step: str, *, after: bool) -> None:
    inner = getattr(Engine, step)

    def dying(*arguments: Any) -> None:
        if after:
            inner(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(Engine, step, dying)


def test_it_comes_back_with_its_networks_and_says_which_is_gone(
    host: Host, engine: LiveEngine
) -> None:
    engine.docker("network", "create", "--subnet", "10.99.8.0/24", "one")
    engine.docker("network", "create", "two")
    options = ("--network", "one", "--network-alias", "alias", "--ip", "10.99.8.77")
    labels = ("--label", "so1.managed=true", "--stop-signal", "KILL")
    engine.docker("run", "--detach", "--name", "web", *labels, *options, IMAGE)
    engine.docker("network", "connect", "--alias", "other", "two", "web")
    before = engine.inspect("web")
    assert host.tick() == [("remove", "done")]
    assert host.so1("undo", "web").exit_code == 0
    assert alike(engine.inspect("web")) == alike(before)
    host.tick()
    assert not engine.inspect(before["Id"])["State"]["Running"]
    engine.docker("network", "rm", "two")
    result = host.so1("undo", "web")
    # Neither lost nor made a second time: it stays where it is, and there is a way out.
    assert result.exit_code == 1
    assert "docker network disconnect --force NETWORK" in result.output
    assert engine.inspect(before["Id"])["Name"].startswith("/so1-trash-")
    assert len(engine.names("-a")) == 1
    engine.docker("network", "disconnect", "--force", "two", before["Id"])
    assert host.so1("undo", "web").exit_code == 0
    after = engine.inspect("web")
    assert after["Id"] == before["Id"]
    assert set(after["NetworkSettings"]["Networks"]) == {"one"}
    engine.docker("rm", "--force", "web")
    engine.docker("network", "rm", "one")
