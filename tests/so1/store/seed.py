# SPDX-License-Identifier: MIT
"""Databases as they were before there were migrations."""

import contextlib
import sqlite3
from pathlib import Path

SEED = """
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    total_ram INTEGER,
    free_ram INTEGER,
    used_ram INTEGER,
    container_count INTEGER,
    process_count INTEGER,
    deleted_count INTEGER
);
CREATE TABLE IF NOT EXISTS container_stats (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    container_id TEXT,
    container_name TEXT,
    pid INTEGER,
    process_name TEXT,
    ram_usage INTEGER,
    cpu_usage INTEGER
);
CREATE TABLE IF NOT EXISTS process_stats (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    pid INTEGER,
    name TEXT,
    ram_usage INTEGER,
    cpu_usage INTEGER
);
"""
"""The contract, word for word: not to be changed with the migrations."""
SEED_TABLES = ("metrics", "container_stats", "process_stats")


def seed(path: Path, ticks: int, processes: int = 1) -> None:
    """Make a database of the seed's; a metrics row says how many process rows its tick has."""
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.executescript(SEED)
        for timestamp in range(ticks):
            made.execute(
                "INSERT INTO metrics (timestamp, total_ram, free_ram, used_ram, container_count,"
                " process_count, deleted_count) VALUES (?, 1, 2, 3, 4, ?, 6)",
                (timestamp, processes),
            )
            made.executemany(
                "INSERT INTO process_stats (timestamp, pid, name, ram_usage, cpu_usage)"
                " VALUES (?, ?, 'old', 5, 6)",
                [(timestamp, pid) for pid in range(processes)],
            )
