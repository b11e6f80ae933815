# SPDX-License-Identifier: MIT
"""Where the daemon's own tests and the dashboards' generator are."""

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
for folder in ("python", "grafana"):
    sys.path.insert(0, str(REPOSITORY / folder))


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known where these tests are run alone."""
    config.addinivalue_line("markers", "engine: starts a Docker Engine of its own")
