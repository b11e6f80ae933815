# SPDX-License-Identifier: MIT
"""A captured host for each test."""

import shutil
from pathlib import Path

import pytest

from tests.modules.captured_host import HERE, Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Give a host with the kernel modules loaded, two containers, and processes of any name."""
    root = tmp_path / "host"
    shutil.copytree(HERE / "hosts" / "debian-12", root)
    return Host(root)
