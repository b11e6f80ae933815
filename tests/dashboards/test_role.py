# SPDX-License-Identifier: MIT
"""The role grafana against a real Docker Engine, with an image that stands in for Grafana's.

The tests follow one host through its life and build on each other, in the order of the file.
"""

import json
import socket
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import REPOSITORY, playbook
from tests.support.host_with_engine import GROUP_ID, Engine
from tests.support.plays import defaults

pytestmark = [
    pytest.mark.engine,
]
IMAGE = defaults("so1_grafana")["so1_grafana_image"]
PASSWORD = "/etc/so1/grafana-admin-password"
CONTAINER = "grafana_so1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    started = Engine(tmp_path_factory.mktemp("engine"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def archive(engine: Engine) -> dict[str, str]:
    return {
        "so1_grafana_image_source": "archive",
        "so1_grafana_image_archive": str(engine.archive(IMAGE)),
    }


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return playbook(tmp_path_factory.mktemp("install"), {"role": "so1_grafana"})


@pytest.fixture(scope="module")
def remove(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task = {"include_role": {"name": "so1_grafana", "tasks_from": "remove"}}
    return playbook(tmp_path_factory.mktemp("remove"), task)


def password(engine: Engine) -> str:
    return engine.inside("cat", PASSWORD).stdout


def test_a_wrong_type_is_refused_before_anything_changes(engine: Engine, install: Path) -> None:
    play = engine.play(install, so1_grafana_port="many")
    assert play.status != 0
    assert "so1_grafana_port" in play.output
    assert engine.inside("test", "-e", "/etc/so1", check=False).returncode == 1


def test_a_dry_run_on_a_bare_host_changes_nothing(engine: Engine, install: Path) -> None:
    play = engine.play(install, "--check", "--diff")
    assert play.status == 0, play.output
    assert play.changed > 0
    assert engine.inside("test", "-e", "/etc/so1", check=False).returncode == 1


def test_without_an_image_it_fails_in_one_sentence(engine: Engine, install: Path) -> None:
    play = engine.play(install)
    assert play.status != 0
    assert f"Grafana cannot be started: the image {IMAGE} could not be had" in play.output
    assert engine.docker("ps", "-aq").stdout == ""


def test_or_is_left_out_and_the_rest_is_there(engine: Engine, install: Path) -> None:
    play = engine.play(install, so1_grafana_required=False)
    assert play.status == 0, play.output
    assert f"Grafana was left out: the image {IMAGE} could not be had" in play.output
    for name in ("dashboards/system.json", "provisioning/datasources/so1.yaml"):
        engine.inside("test", "-s", f"/etc/so1/grafana/{name}")


def test_it_runs_from_an_archive(engine: Engine, install: Path, archive: dict[str, str]) -> None:
    first = engine.play(install, "-vvv", **archive, so1_grafana_policy_maximum=17)
    assert first.status == 0, first.output
    assert len(password(engine)) >= 32
    assert password(engine) not in first.output
    for name in ("image.tar", ".grafana"):
        assert name not in engine.inside("ls", "/tmp").stdout.split()


def test_a_second_run_and_a_dry_one_change_nothing(
    engine: Engine, install: Path, archive: dict[str, str]
) -> None:
    before = password(engine)
    for options in ((), ("--check", "--diff")):
        play = engine.play(install, *options, **archive, so1_grafana_policy_maximum=17)
        assert play.status == 0, play.output
        assert play.changed == 0, play.output
        assert before not in play.output
    assert password(engine) == before


def test_the_container_is_confined(engine: Engine) -> None:
    found = engine.inspect(CONTAINER)
    host, config = found["HostConfig"], found["Config"]
    assert config["User"] == "472:472"
    assert config["Image"] == IMAGE
    assert not [label for label in config["Labels"] or {} if label.startswith("so1.")]
    assert host["GroupAdd"] == [str(GROUP_ID)]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert host["ReadonlyRootfs"] is True
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] == host["MemorySwap"] == 512 * 2**20
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    writable = [mount["Destination"] for mount in found["Mounts"] if mount["RW"]]
    assert writable == ["/var/lib/grafana"]


def test_nobody_may_enter_unasked(engine: Engine) -> None:
    environment = dict(entry.split("=", 1) for entry in engine.inspect(CONTAINER)["Config"]["Env"])
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    listening = engine.inside("ss", "-Hltn").stdout
    assert "127.0.0.1:3000" in listening
    assert "0.0.0.0:3000" not in listening
    assert "[::]:3000" not in listening
    assert "*:3000" not in listening


def test_the_password_is_root_s_and_the_container_s(engine: Engine) -> None:
    secret = password(engine)
    assert engine.inside("stat", "-c", "%a %U", PASSWORD).stdout.split() == ["600", "root"]
    guard = engine.inside("stat", "-c", "%a %U", "/etc/so1/grafana").stdout.split()
    assert guard == ["700", "root"]
    assert secret not in json.dumps(engine.inspect(CONTAINER))
    environment = dict(entry.split("=", 1) for entry in engine.inspect(CONTAINER)["Config"]["Env"])
    file = environment["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert engine.docker("exec", CONTAINER, "cat", file).stdout == secret
    outsider = engine.inside(
        *("setpriv", "--reuid", "472", "--regid", "472", "--clear-groups"),
        *("cat", "/etc/so1/grafana/secret/admin-password"),
        check=False,
    )
    assert outsider.returncode != 0, "uid 472 of the host reads the container's secret"


def test_the_container_reads_the_database_and_cannot_write_it(engine: Engine) -> None:
    read = engine.docker("exec", CONTAINER, "cat", "/var/lib/so1/metrics.db")
    assert read.stdout == "a database"
    touch = engine.docker("exec", CONTAINER, "touch", "/var/lib/so1/other", check=False)
    assert touch.returncode != 0
    assert engine.docker("exec", CONTAINER, "touch", "/var/lib/grafana/own").returncode == 0
    mode = stat.S_IMODE((engine.database / "metrics.db").stat().st_mode)
    assert mode == 0o640


def test_the_dashboards_carry_the_host_s_policy(engine: Engine) -> None:
    text = engine.docker("exec", CONTAINER, "cat", "/etc/so1/dashboards/containers.json").stdout
    variables = {v["name"]: v for v in json.loads(text)["templating"]["list"]}
    assert variables["maximum"]["current"]["value"] == variables["maximum"]["query"] == "17"
    assert variables["keep_low"]["current"]["value"] == "3"
    for name in ("system", "containers"):
        shown = engine.docker("exec", CONTAINER, "cat", f"/etc/so1/dashboards/{name}.json").stdout
        committed = json.loads((REPOSITORY / f"grafana/dashboards/{name}.json").read_text())
        assert {**json.loads(shown), "templating": 0} == {**committed, "templating": 0}


def test_a_changed_variable_reaches_the_container(
    engine: Engine, install: Path, archive: dict[str, str]
) -> None:
    play = engine.play(install, **archive, so1_grafana_policy_maximum=17, so1_grafana_memory="256m")
    assert play.status == 0, play.output
    assert play.changed == 1, play.output
    assert engine.inspect(CONTAINER)["HostConfig"]["Memory"] == 256 * 2**20


def test_the_plugin_comes_from_an_archive(
    engine: Engine, install: Path, archive: dict[str, str], tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin.zip"
    with zipfile.ZipFile(plugin, "w") as packed:
        packed.writestr("frser-sqlite-datasource/plugin.json", "{}")
    play = engine.play(install, **archive, so1_grafana_plugin_archive=str(plugin))
    assert play.status == 0, play.output
    environment = dict(entry.split("=", 1) for entry in engine.inspect(CONTAINER)["Config"]["Env"])
    assert "GF_PLUGINS_PREINSTALL" not in environment
    file = f"{environment['GF_PATHS_PLUGINS']}/frser-sqlite-datasource/plugin.json"
    assert engine.docker("exec", CONTAINER, "cat", file).stdout == "{}"
    again = engine.play(install, **archive, so1_grafana_plugin_archive=str(plugin))
    assert again.changed == 0, again.output


def test_a_run_that_was_cut_off_after_it_wrote_is_made_up_for(
    engine: Engine, install: Path, archive: dict[str, str]
) -> None:
    engine.play(install, **archive)
    started = engine.inspect(CONTAINER)["State"]["StartedAt"]
    engine.inside("touch", "/etc/so1/grafana/provisioning/datasources/so1.yaml")
    play = engine.play(install, **archive)
    assert play.status == 0, play.output
    assert engine.inspect(CONTAINER)["State"]["StartedAt"] > started
    again = engine.play(install, **archive)
    assert again.changed == 0, again.output


def test_a_plugin_that_cannot_be_fetched_is_told(engine: Engine, install: Path) -> None:
    engine.stand_in("so1/without-plugin", plugin=False)
    wanted = {"so1_grafana_image": "so1/without-plugin", "so1_grafana_patience": 1}
    play = engine.play(install, **wanted)
    said = " ".join(play.output.split())
    assert play.status != 0
    assert "its dashboards stay empty: it cannot read the database (Not Found)" in said
    assert "so1_grafana_plugin_archive" in said
    play = engine.play(install, **wanted, so1_grafana_required=False)
    assert play.status == 0, play.output
    assert "its dashboards stay empty" in " ".join(play.output.split())
    engine.docker("rm", "--force", CONTAINER)
    engine.docker("image", "rm", "so1/without-plugin")


def test_removal_keeps_the_data(engine: Engine, remove: Path) -> None:
    play = engine.play(remove)
    assert play.status == 0, play.output
    assert engine.docker("ps", "-aq").stdout == ""
    assert engine.docker("volume", "ls", "-q").stdout.split() == [CONTAINER]
    assert engine.inside("ls", "-A", "/etc/so1").stdout.split() == ["grafana-admin-password"]


def test_an_engine_that_does_not_answer_keeps_what_tells_of_it_and_nothing_else(
    engine: Engine, remove: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(tmp_path / "docker.sock"))
    host = f"unix://{tmp_path / 'docker.sock'}"
    play = engine.play(remove, "-v", so1_grafana_docker_host=host, so1_grafana_purge=True)
    assert play.status == 0, play.output
    assert "so1_grafana_kept: 'Error connecting" in play.output
    assert password(engine)


def test_a_purge_leaves_nothing_and_can_be_repeated(engine: Engine, remove: Path) -> None:
    play = engine.play(remove, so1_grafana_purge=True)
    assert play.status == 0, play.output
    assert engine.docker("volume", "ls", "-q").stdout == ""
    assert engine.docker("images", "-q").stdout == ""
    assert engine.inside("ls", "-A", "/etc/so1").stdout == ""
    again = engine.play(remove, so1_grafana_purge=True)
    assert again.status == 0, again.output
    assert again.changed == 0, again.output
    assert (engine.database / "metrics.db").read_text() == "a database"


def test_an_image_that_another_uses_stays(
    engine: Engine, install: Path, archive: dict[str, str], remove: Path
) -> None:
    assert engine.play(install, **archive).status == 0
    engine.docker("create", "--name", "other", IMAGE)
    play = engine.play(remove, so1_grafana_purge=True)
    assert play.status == 0, play.output
    assert engine.docker("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["other"]
    assert engine.docker("volume", "ls", "-q").stdout == ""
    assert engine.docker("images", "-q").stdout
    assert engine.inside("ls", "-A", "/etc/so1").stdout == ""
