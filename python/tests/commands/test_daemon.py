# SPDX-License-Identifier: MIT
"""The program as systemd runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

_RUN = "from so1.cli import main; main()"


def start(tmp_path: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, "--config", tmp_path / "config.toml", "daemon"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def started(daemon: "subprocess.Popen[str]") -> list[str]:
    """Wait until snapshots are taken; gives what was logged."""
    assert daemon.stderr
    seen = []
    for line in daemon.stderr:
        seen.append(line)
        if "Snapshots come from" in line:
            return seen
    pytest.fail(f"the daemon ended: {seen}")


@pytest.mark.usefixtures("so1")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, JOURNAL_STREAM="8:1") as daemon:
        (first, *_) = started(daemon)
        daemon.send_signal(number)
        _, rest = daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    assert first == "<6>The daemon started.\n"
    assert rest.splitlines()[-1] == "<6>The daemon stopped."
    assert "Traceback" not in rest


@pytest.mark.usefixtures("so1")
def test_a_second_one_refuses(tmp_path: Path, so1: Callable[..., Result]) -> None:
    with start(tmp_path) as daemon:
        started(daemon)
        second = so1("daemon")
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    assert second.exit_code == 1
    assert f"another so1 daemon (pid {daemon.pid})" in second.output


def test_no_place_for_the_database(so1: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[store]\npath = "{tmp_path}/absent/metrics.db"\n')
    result = so1("daemon")
    assert result.exit_code == 1
    assert "its directory must exist" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.usefixtures("so1")
def test_the_daemon_is_lean(tmp_path: Path) -> None:
    watch = (
        "import sys\n"
        "import so1.cli\n"
        "so1.cli.main.get_command(None, 'daemon')\n"
        "heavy = {'pandas', 'numpy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", watch], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    with start(tmp_path) as daemon:
        started(daemon)
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    assert int(line.split()[1]) < 45 * 1024
