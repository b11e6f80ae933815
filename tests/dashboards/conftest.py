# SPDX-License-Identifier: MIT
"""The databases for the queries."""

import time
from pathlib import Path

import pytest

from benchmarks.dashboards import history


@pytest.fixture(scope="session")
def now() -> int:
    """Epoch milliseconds at which the databases end."""
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, now: int) -> Path:
    path = tmp_path_factory.mktemp("filled") / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=180, processes=40, containers=9)
    connection.close()
    return path


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory, now: int) -> Path:
    """A history in which no container ran."""
    path = tmp_path_factory.mktemp("bare") / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=180, processes=40, containers=0)
    connection.close()
    return path


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fresh") / "metrics.db"
    history.create(path).close()
    return path
