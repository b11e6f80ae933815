# SPDX-License-Identifier: MIT
"""Puts this Python, and what the limiter's clients import, into the root of a guest: ROOT."""

from __future__ import annotations

import compileall
import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("so1", "click", "msgspec", "psutil", "rich", "ansible.release", "ansible.module_utils")
UNUSED = ("test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "pydoc_data")
SITES = ("site-packages", "dist-packages", "config-*", "*.opt-?.pyc")


def package(name: str) -> Path:
    """Where a package of this environment is: its folder, or its only file."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed here; make setup-tests installs it")
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def needed(files: list[Path]) -> set[Path]:
    """The shared libraries that these load, and the loader."""
    done = subprocess.run(
        ["ldd", *map(str, files)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return {Path(name) for name in re.findall(r"(/\S+) \(0x", done.stdout.decode())}


def put(source: Path, target: Path, *left_out: str) -> None:
    """Copy a file or a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*left_out))
    else:
        shutil.copy(source, target)


def main() -> None:
    """Copy; everything keeps its path, the packages go to /packages."""
    root = Path(sys.argv[1])
    interpreter = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    put(interpreter, root / interpreter.relative_to("/"))
    put(library, root / library.relative_to("/"), *UNUSED, *SITES)
    for name in PACKAGES:
        found = package(name)
        folders = name.split(".")[:-1]
        put(found, root.joinpath("packages", *folders, found.name))
    (root / "packages" / "ansible" / "__init__.py").touch()
    put(PROJECT / "library" / "so2_memory_limit.py", root / "packages" / "so2_memory_limit.py")
    # An emulated machine would take a minute for what takes a second here.
    compileall.compile_dir(root / "packages", quiet=1)
    loaded = [interpreter, *root.rglob("*.so")]
    for file in needed(loaded):
        put(file, root / file.relative_to("/"))
    (root / "bin" / "python3").symlink_to(interpreter)


main()
