# SPDX-License-Identifier: MIT
"""make look, on this host: what it shows, and what it says where it cannot."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def look(cache: Path, path: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/bash", str(ROOT / "scripts" / "look.sh")],
        env={"PATH": path, "HOME": str(cache), "SO1_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_this_host_is_shown_and_then_where_the_time_went(tmp_path: Path) -> None:
    first = look(tmp_path, os.environ["PATH"])
    assert first.returncode == 0, first.stdout + first.stderr
    assert re.search(r"^ +PID +", first.stdout, re.MULTILINE)
    assert "make up" in first.stdout
    # A page that fits a terminal of a common size, and tells nobody who only looks to start Docker.
    shown = [line for line in first.stdout.splitlines() if str(tmp_path) not in line]
    assert max(map(len, shown)) <= 100
    assert len(first.stdout.splitlines()) < 50
    assert "start the Docker service" not in first.stdout
    assert re.findall(r"^(\w+) +\d+:\d\d$", first.stdout, re.MULTILINE) == [
        "packages",
        "look",
        "all",
    ]
    again = look(tmp_path, os.environ["PATH"])
    assert "fetching" in first.stdout
    assert "fetching" not in again.stdout
    # The Python that the packages were installed for is gone, as after an upgrade of the system.
    (tmp_path / "look" / "bin" / "python").unlink()
    assert look(tmp_path, os.environ["PATH"]).returncode == 0


def test_a_python_that_is_too_old_is_told(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit\nexit 1\n")
    old.chmod(0o755)
    for name in ("cat", "dirname", "sha256sum"):
        (old.parent / name).symlink_to(f"/usr/bin/{name}")
    told = look(tmp_path / "cache", str(old.parent))
    assert told.returncode == 1
    assert told.stderr.strip().endswith(
        "needs Python 3.11 or later; `python3 --version` says Python 3.9.2"
    )
