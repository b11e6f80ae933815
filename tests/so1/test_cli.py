# SPDX-License-Identifier: MIT
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from so1.cli import _COMMANDS, main
from so1.store.database import Database
from so1.store.event import Event
from so1.store.rows import ContainerRow, MetricsRow, ProcessRow, Tick


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    command = main.get_command(click.Context(main), name)
    assert command
    assert command.help
    if not isinstance(command, click.Group):
        assert "Exit codes:" in result.output


def test_help_lists_them_without_loading_them() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in _COMMANDS:
        assert f"\n  {name} " in result.output


_SHOWING = {
    "status": ["status"],
    "snapshot": ["snapshot", "--over", "0"],
    "containers": ["snapshot", "--over", "0", "--containers"],
    "top": ["top", "--once", "--every", "0.2"],
    "frame": ["top", "--json", "--every", "0.2"],
    "events": ["events"],
    "report": ["report"],
    "page": ["report", "--format", "html"],
    "plan": ["plan", "--over", "0"],
    "limits": ["limit", "list"],
    "check": ["config", "check"],
}
_HOSTILE = "naïve \x1b[2J 漢字\u202e" * 3


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """One whose database holds names in many scripts."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'[store]\npath = "{tmp_path}/metrics.db"\n[docker]\nhost = "unix://{tmp_path}/ñ"\n',
        encoding="utf-8",
    )
    with contextlib.closing(Database(tmp_path / "metrics.db")) as database:
        now = round(time.time() * 1000)
        database.write_tick(
            Tick(
                timestamp=now,
                metrics=MetricsRow(1000, 400, 600, 1, 3, 0, "procfs", 1.5),
                process_stats=[ProcessRow(1, _HOSTILE, 10, 1)],
                container_totals=[ContainerRow("z" * 64, _HOSTILE, _HOSTILE, "low", 1, 10, 1.0)],
                events=[
                    Event(timestamp=now, kind="remove", outcome="done", detail=_HOSTILE, rule="x")
                ],
            )
        )
    return path


def run(
    configuration: Path, words: list[str], output: int, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-c", "from so1.cli import main; main()"]
    return subprocess.run(
        [*command, "--config", configuration, *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", _SHOWING)
@pytest.mark.parametrize(
    ("encoding", "columns"), [("iso-8859-1", "20"), ("ascii", "1"), ("utf-8", "80")]
)
def test_whatever_the_locale_and_the_width(
    configuration: Path, name: str, encoding: str, columns: str
) -> None:
    done = run(
        configuration,
        _SHOWING[name],
        subprocess.PIPE,
        PYTHONIOENCODING=encoding,
        COLUMNS=columns,
        FORCE_COLOR="1",
        TERM="xterm",
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 1, 3)
    assert done.stdout or done.stderr.startswith(b"Error: ")
    assert b"\x1b[2J" not in done.stdout


@pytest.mark.parametrize("name", _SHOWING)
def test_a_pipe_that_is_closed_and_a_disk_that_is_full(configuration: Path, name: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as closed, Path("/dev/full").open("wb") as full:  # noqa: PTH123
        for output in (closed, full):
            done = run(configuration, _SHOWING[name], output.fileno())
            assert done.returncode == 1
            said = done.stderr.decode()
            assert "Traceback" not in said
            assert "Exception ignored" not in said
            if output is full and name not in ("plan", "limits"):  # which have nothing to show here
                assert said.strip() == (
                    "Error: the output cannot be written: No space left on device"
                )


def test_what_a_stranger_wrote_does_not_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('"\\u001b[31m\\u000aError" = 1')
    result = CliRunner().invoke(main, ["--config", str(path), "config", "check"])
    assert result.exit_code == 1
    assert "\\x1b[31m\\x0aError" in result.output


def test_an_unknown_command() -> None:
    assert CliRunner().invoke(main, ["dance"]).exit_code == 2
