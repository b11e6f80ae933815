# SPDX-License-Identifier: MIT
"""The role's two scripts, as a host with a route to PyPI has them run."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "roles/so1_daemon/files"


def run(*command: object) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, umask=0o077
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def release(prefix: Path) -> list[str | Path]:
    """The script, with the settings' places beside the prefix."""
    return [
        SCRIPTS / "release.sh",
        prefix,
        prefix.parent / "config.toml",
        prefix.parent / "so1.service",
    ]


def in_use(prefix: Path) -> str:
    return (prefix / "venv").readlink().name


def test_a_host_installs_from_pypi_beside_what_it_has(tmp_path: Path) -> None:
    prefix, wheels = tmp_path / "opt", tmp_path / "wheels"
    (prefix / "venv").mkdir(parents=True)  # as installed until 0.1.0
    (prefix / "venv/marker").touch()
    make = (SCRIPTS / "wheels.sh", REPOSITORY / "python", wheels, sys.executable, "none")
    archive = Path(run(*make).split()[-1])
    assert Path(run(*make).split()[-1]) == archive, "made once"
    for stamp in ("first", "second", "third"):
        copy = prefix / "wheels.tar"
        copy.write_bytes(archive.read_bytes())
        for settings in ("config.toml", "so1.service") if stamp != "first" else ():
            (tmp_path / settings).write_text(f"of the one before {stamp}")
        run(*release(prefix), "install", copy, stamp, "pypi")
        assert in_use(prefix) == stamp
        assert not copy.exists()
        # Whoever runs it next may not write it.
        assert list(prefix.glob("venv/lib/*/site-packages/so1/__pycache__/cli.*.pyc"))
        if stamp == "first":
            assert (prefix / "previous/marker").exists()
    assert sorted(one.name for one in (prefix / "releases").iterdir()) == ["second", "third"]
    so1 = prefix / "venv/bin/so1"
    assert "Usage: so1" in run(so1, "--help")
    pinned = (REPOSITORY / "python/constraints.txt").read_text().split()
    frozen = run("uv", "pip", "freeze", "--python", prefix / "venv/bin/python").split()
    exact = {one.lower() for one in frozen if "==" in one}
    assert exact
    assert exact <= {one.lower().replace("_", "-") for one in pinned}
    # Whoever calls so1 may, whatever the login's umask.
    assert so1.stat().st_mode & 0o005 == 0o005
    # Each with the settings that it ran with: an older one would refuse what a newer one knows.
    configuration = tmp_path / "config.toml"
    configuration.write_text("of third")
    configuration.chmod(0o640)
    run(*release(prefix), "back")
    assert in_use(prefix) == "second"
    assert configuration.read_text() == "of the one before third"
    assert (tmp_path / "so1.service").read_text() == "of the one before third"
    run(*release(prefix), "back")
    assert in_use(prefix) == "third"
    assert configuration.read_text() == "of third"
    assert configuration.stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_installed_leaves_what_is_in_use(tmp_path: Path) -> None:
    prefix = tmp_path / "opt"
    (prefix / "releases/good").mkdir(parents=True)
    (prefix / "venv").symlink_to("releases/good")
    (prefix / "wheels.tar").write_bytes(b"half an archive")
    done = subprocess.run(
        [*release(prefix), "install", "wheels.tar", "bad", "pypi"],
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert in_use(prefix) == "good"
    assert not (prefix / ".untried").exists()


# Stands for systemctl: a version that is broken does not start.
SYSTEMCTL = """#!/bin/sh
[ "$1" != daemon-reload ] || exit 0
readlink {prefix}/venv >>{prefix}/started
[ ! -e {prefix}/venv/broken ]
"""


def test_a_version_that_does_not_start_gives_way_to_the_one_before(tmp_path: Path) -> None:
    prefix, commands = tmp_path / "opt", tmp_path / "bin"
    commands.mkdir()
    (commands / "systemctl").write_text(SYSTEMCTL.format(prefix=prefix))
    (commands / "systemctl").chmod(0o755)
    for name in ("good", "bad"):
        (prefix / "releases" / name).mkdir(parents=True)
    (prefix / "releases/bad/broken").touch()
    (prefix / "releases/good/settings").mkdir()
    (prefix / "releases/good/settings/config.toml").write_text("the old one")
    (tmp_path / "config.toml").write_text("one that the old version refuses")
    (prefix / "venv").symlink_to("releases/bad")
    (prefix / "previous").symlink_to("releases/good")
    (prefix / ".untried").touch()
    restart = [*release(prefix), "restart"]
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    done = subprocess.run(restart, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "the one before runs again" in done.stderr
    assert in_use(prefix) == "good"
    assert (tmp_path / "config.toml").read_text() == "the old one"
    # One that has run before is not given up for a fault of the moment.
    (prefix / "releases/good/broken").touch()
    done = subprocess.run(restart, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert in_use(prefix) == "good"
    started = (prefix / "started").read_text().split()
    assert started == [f"releases/{name}" for name in ("bad", "good", "good")]
