# SPDX-License-Identifier: MIT
"""The role's two scripts, as a host with a route to PyPI has them run."""

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


def test_a_host_installs_from_pypi_and_again_over_that(tmp_path: Path) -> None:
    prefix, wheels = tmp_path / "opt", tmp_path / "wheels"
    prefix.mkdir()
    make = (SCRIPTS / "wheels.sh", REPOSITORY / "python", wheels, sys.executable, "none")
    archive = Path(run(*make).split()[-1])
    assert Path(run(*make).split()[-1]) == archive, "made once"
    for stamp in ("first", "second"):
        copy = prefix / "wheels.tar"
        copy.write_bytes(archive.read_bytes())
        run(SCRIPTS / "install.sh", prefix, copy, stamp, "pypi")
        assert (prefix / "venv/.installed").read_text().strip() == stamp
        assert not copy.exists()
        # Whoever runs it next may not write it.
        assert list(prefix.glob("venv/lib/*/site-packages/so1/__pycache__/daemon.*.pyc"))
    so1 = prefix / "venv/bin/so1"
    assert "Usage: so1" in run(so1, "--help")
    pinned = (REPOSITORY / "python/constraints.txt").read_text().split()
    frozen = run(prefix / "venv/bin/pip", "freeze").split()
    exact = {one.lower() for one in frozen if "==" in one}
    assert exact
    assert exact <= {one.lower() for one in pinned}
    # Whoever calls so1 may, whatever the login's umask.
    assert so1.stat().st_mode & 0o005 == 0o005
