# SPDX-License-Identifier: MIT
import os
import subprocess
import sys
from pathlib import Path

import pytest

from so1.store import lock

_HOLDER = """
import sys
from pathlib import Path
from so1.store import lock
lock.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_holds_it_and_is_known(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    assert lock.holder(path) is None
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        assert lock.holder(path) == other.pid
        with pytest.raises(lock.LockedError, match=rf"pid {other.pid}\).*stop that one first"):
            lock.hold(path)
        other.kill()
    assert lock.holder(path) is None
    os.close(lock.hold(path))


@pytest.mark.parametrize("linked", ["metrics.db", "."])
def test_a_link_leads_to_the_same_lock(tmp_path: Path, linked: str) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    path = folder / "metrics.db"
    link = tmp_path / "link"
    link.symlink_to(folder / linked)  # where nothing is yet
    other = link if linked == "metrics.db" else link / "metrics.db"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert lock.holder(other) == holder.pid
        with pytest.raises(lock.LockedError, match=f"pid {holder.pid}"):
            lock.hold(other)
        holder.kill()
