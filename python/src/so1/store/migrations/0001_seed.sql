-- SPDX-License-Identifier: MIT
-- The three tables every database of this project has had from the first day.
-- timestamp: Unix epoch in milliseconds. RAM: KiB. cpu_usage: percent of one CPU over the interval.
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
