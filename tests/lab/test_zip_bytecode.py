# SPDX-License-Identifier: MIT
"""The lab's kept bytecode is that of the source, whatever became of the file it is kept in."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parent.parent.parent / "lab"
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
import zip_bytecode
zip_bytecode.DIRECTORY = sys.argv[3]
import brought
print(brought.VALUE, brought.function.__code__.co_filename)
"""


def bring(archive: Path, value: int, kept: Path) -> str:
    """Import a module from a zip as another process does; return its value and where it is from."""
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("brought.py", f"VALUE = {value}\ndef function(): pass\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(archive), str(LAB), str(kept)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not done.stderr
    return done.stdout.strip()


def test_it_is_kept_for_the_same_source_wherever_that_is(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("first.zip", "second.zip"):
        assert bring(tmp_path / name, 1, kept) == f"1 {tmp_path / name / 'brought.py'}"
        assert len(list(kept.iterdir())) == 1
    assert bring(tmp_path / "first.zip", 2, kept) == f"2 {tmp_path / 'first.zip' / 'brought.py'}"
    assert len(list(kept.iterdir())) == 2


def test_what_is_kept_is_what_runs(tmp_path: Path) -> None:
    bring(tmp_path / "one.zip", 1, tmp_path)
    (one,) = (path for path in tmp_path.iterdir() if path.suffix != ".zip")
    bring(tmp_path / "two.zip", 2, tmp_path)
    (two,) = (path for path in tmp_path.iterdir() if path.suffix != ".zip" and path != one)
    two.rename(one)
    assert bring(tmp_path / "one.zip", 1, tmp_path).startswith("2 ")


@pytest.mark.parametrize("length", [0, 1, 20])
def test_half_a_file_is_as_good_as_none(tmp_path: Path, length: int) -> None:
    bring(tmp_path / "one.zip", 1, tmp_path)
    (one,) = (path for path in tmp_path.iterdir() if path.suffix != ".zip")
    whole = one.read_bytes()
    one.write_bytes(whole[:length])
    assert bring(tmp_path / "one.zip", 1, tmp_path).startswith("1 ")
    assert one.read_bytes() == whole


def test_without_a_place_to_keep_it_all_works(tmp_path: Path) -> None:
    assert bring(tmp_path / "one.zip", 1, tmp_path / "none").startswith("1 ")
