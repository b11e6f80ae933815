# SPDX-License-Identifier: MIT
"""A removal with a filled wastebasket: what goes is told with its command line, what stays too."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from so1.store.database import Database
from tests.support.docker_engine import LiveEngine
from tests.support.plays import play, role

pytestmark = pytest.mark.engine


@pytest.fixture
def engine() -> Iterator[LiveEngine]:
    with tempfile.TemporaryDirectory(prefix="so1-engine-") as folder:
        started = LiveEngine(Path(folder))
        yield started
        started.clear()
        started.stop()


def installed(folder: Path, engine: LiveEngine) -> Path:
    """Install a command as the role does, with a database of its own."""
    Database(folder / "metrics.db").close()
    config = folder / "config.toml"
    config.write_text(
        f'[store]\npath = "{folder}/metrics.db"\n[docker]\nhost = "{engine.host}"\n'
        "[governor]\nstop_timeout = 1\n"
    )
    command = folder / "prefix/venv/bin/so1"
    command.parent.mkdir(parents=True)
    command.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from so1.cli import main; main()'"
        f' --config {config} "$@"\n'
    )
    command.chmod(0o755)
    return command


def test_nothing_goes_and_nothing_stays_unsaid(engine: LiveEngine, tmp_path: Path) -> None:
    so1 = installed(tmp_path, engine)
    web = engine.managed("web", "low", "--restart=always", "--env=SECRET=hunter2")
    subprocess.run([so1, "cleanup", "--yes"], check=True)
    aside = f"so1-trash-{web[:12]}-web"
    assert engine.names("-a") == {aside}
    engine.managed("running")
    # As after the loss of the database: it has our name, and nobody knows of it.
    unknown = engine.managed("db")
    lost = f"so1-trash-{unknown[:12]}-db"
    engine.docker("rename", "db", lost)
    engine.docker("stop", lost)
    done = play(
        tmp_path,
        [role("so1_daemon", "remove")],
        {},
        so1_daemon_prefix=str(tmp_path / "prefix"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "removing web for good, from the wastebasket" in said
    assert "docker run --detach --name web " in said
    assert "--restart always" in said
    assert "hunter2" not in said
    assert "removed web" in said
    assert "removed running" in said
    back = [f"docker rename {lost} db", "docker start db"]
    assert f"left {lost}: so1 does not know that it set it aside; `{' && '.join(back)}`" in said
    assert engine.names("-a") == {lost}
    for line in back:
        engine.docker(*line.split()[1:])
    assert engine.names() == {"db"}
    assert engine.inspect("db")["Id"] == unknown
