# SPDX-License-Identifier: MIT
"""What is installed, and what builds it, is taken only with the hashes that are locked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.plays import REPOSITORY

LOCKS = REPOSITORY / "python/locks"
SCRIPTS = REPOSITORY / "roles/so1_daemon/files"


def entries(name: str) -> dict[str, list[str]]:
    """Each package's version of a lock, and its hashes."""
    found: dict[str, list[str]] = {}
    for entry in (LOCKS / f"{name}.txt").read_text().replace("\\\n", " ").splitlines():
        found[entry.split()[0]] = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)
    return found


def normal(pin: str) -> str:
    return re.sub("[-_.]+", "-", pin.partition("==")[0]).lower() + "==" + pin.partition("==")[2]


PINS = {
    normal(line)
    for line in (REPOSITORY / "python/constraints.txt").read_text().split("\n")
    if "==" in line
}
NAMES = sorted(path.stem for path in LOCKS.glob("*.txt"))


def test_there_is_a_lock_for_each_purpose() -> None:
    assert NAMES == ["build", "daemon", "installer", "report"]


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_its_pin_and_hashes_and_no_host_is_named(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    assert "://" not in text
    locked = entries(name)
    assert locked
    assert all(locked.values())
    # Only old controllers build with more than is pinned.
    assert {normal(pin) for pin in locked} - PINS <= {"tomli==2.5.0"}


def test_what_the_package_needs_is_locked() -> None:
    project = tomllib.loads((REPOSITORY / "python/pyproject.toml").read_text())
    for lock, needs in {
        "daemon": project["project"]["dependencies"],
        "report": [
            *project["project"]["dependencies"],
            *project["project"]["optional-dependencies"]["report"],
        ],
        "build": project["build-system"]["requires"],
        "installer": ["uv"],
    }.items():
        names = {normal(pin).partition("==")[0] for pin in entries(lock)}
        for need in needs:
            wanted = re.match("[A-Za-z0-9._-]+", need)
            assert wanted
            assert normal(wanted[0]).partition("==")[0] in names, (lock, need)
    assert entries("daemon").items() <= entries("report").items()


def make(tmp_path: Path, tree: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "wheels.sh", tree, tmp_path / "wheels", sys.executable, "none"],
        env={**os.environ, "SO1_ARCHIVE": str(archive)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_not_what_was_locked_is_not_taken(tmp_path: Path) -> None:
    """A wheel of the right name and version, from the folder that everything comes from."""
    archive = tmp_path / "archive"
    archive.mkdir()
    for pin in entries("build"):
        name, _, version = pin.partition("==")
        name = name.replace("-", "_")
        with zipfile.ZipFile(archive / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            about = f"{name}-{version}.dist-info"
            wheel.writestr(f"{name}/__init__.py", "raise SystemExit('not what was locked')\n")
            wheel.writestr(f"{about}/METADATA", f"Name: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    done = make(tmp_path, REPOSITORY / "python", archive)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not list((tmp_path / "wheels").glob("*.tar"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = make(tmp_path, REPOSITORY / "python", tmp_path / "none")
    assert done.returncode == 1
    assert f"so1_archive names no folder on the controller: {tmp_path}/none" in done.stderr


def test_a_controller_without_a_route_makes_all_from_one_folder(tmp_path: Path) -> None:
    """Filled once, it is enough; pip is told of no index, and of no route to one."""
    archive = tmp_path / "archive"
    subprocess.run([SCRIPTS / "archive.sh", archive, "3.11", "3.13"], check=True)
    for version in ("3.11", "3.13"):
        done = subprocess.run(
            [
                *(SCRIPTS / "wheels.sh", REPOSITORY / "python", tmp_path / "wheels"),
                *(sys.executable, version, "[report]"),
            ],
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME")},
                "SO1_ARCHIVE": str(archive),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_PROXY": "http://127.0.0.1:1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        listed = subprocess.run(
            ["tar", "-tf", done.stdout.strip()], check=True, capture_output=True, text=True
        ).stdout
        packages = {
            normal(Path(name).name.split("-")[0] + "==").strip("=") for name in listed.split()
        }
        assert {"so1", "uv", "pandas", "msgspec"} <= packages
        assert f"cp{version.replace('.', '')}" in listed
