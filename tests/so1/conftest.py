# SPDX-License-Identifier: MIT
"""What several tests stand on: a tree like /proc with the modules' files, and processes in it."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings

from tests.so1.processes import SUFFIX
from tests.so1.registry import Registry
from tests.support.docker_engine import LiveEngine

# How long an example takes depends on what else the machine does. The same examples each time: a
# change fails for what it does, not for what was always wrong; SO1_EXAMPLES=new looks for that.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None)
settings.load_profile(os.environ.get("SO1_EXAMPLES", "same"))


@pytest.fixture
def proc(tmp_path: Path) -> Callable[..., Path]:
    """Write the modules' files into a tree and give its root."""

    def write(
        processes: list[dict[str, Any]], contained: list[dict[str, Any]] | None = None
    ) -> Path:
        root = tmp_path / "proc"
        root.mkdir(exist_ok=True)
        host = {"total_ram": 1000, "free_ram": 400, "used_ram": 600, "processes": processes}
        (root / f"sysinfo_so1_{SUFFIX}").write_text(json.dumps(host))
        (root / f"continfo_so1_{SUFFIX}").write_text(json.dumps(contained or []))
        return root

    return write


@pytest.fixture(autouse=True)
def _real_proc() -> Iterator[None]:
    """psutil's root is its own global: each test leaves it as it was."""
    yield
    psutil.PROCFS_PATH = "/proc"


@pytest.fixture(scope="session")
def _engine() -> Iterator[LiveEngine]:
    with tempfile.TemporaryDirectory(prefix="so1-engine-") as folder:
        started = LiveEngine(Path(folder))
        yield started
        started.stop()


@pytest.fixture
def engine(_engine: LiveEngine) -> Iterator[LiveEngine]:
    """A Docker Engine without containers, and without any after the test."""
    yield _engine
    _engine.clear()


@pytest.fixture
def registry(engine: LiveEngine) -> Iterator[Registry]:
    """A registry with an image like the engine's own; what was pulled from it goes again."""
    made = Registry(engine.root.read_bytes())
    with made.serving():
        yield made
    engine.clear()
    engine.docker("rmi", "--force", made.image, check=False)
