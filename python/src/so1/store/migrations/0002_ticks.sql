-- SPDX-License-Identifier: MIT
-- Where a tick came from and what it cost the host; totals by container and by state; events.
ALTER TABLE metrics ADD COLUMN source TEXT;       -- 'module' or 'procfs'
ALTER TABLE metrics ADD COLUMN cpu_usage REAL;    -- percent of all CPUs, 0 to 100

-- One row for each running container in each tick, processes or not.
CREATE TABLE container_totals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    container_id TEXT NOT NULL,
    container_name TEXT NOT NULL,
    image TEXT NOT NULL,
    class TEXT NOT NULL,              -- 'low', 'high', or 'unmanaged'
    process_count INTEGER NOT NULL,
    ram_usage INTEGER NOT NULL,
    cpu_usage REAL NOT NULL
);

-- How many processes were in each state ('running', 'sleeping', …) in each tick.
CREATE TABLE process_states (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    state TEXT NOT NULL,
    process_count INTEGER NOT NULL
);

-- What the daemon did, refused or could not do. kind: remove, docker, database, source, limits,
-- config, metrics, daemon. outcome: done, planned (observe mode), refused, failed.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    container_id TEXT,
    container_name TEXT,
    image TEXT,
    class TEXT,
    ram_usage INTEGER,
    cpu_usage REAL,
    rule TEXT,
    detail TEXT,                      -- one sentence
    recreate TEXT                     -- the command line that would bring the container back
);

CREATE INDEX metrics_timestamp ON metrics (timestamp);
CREATE INDEX container_stats_timestamp ON container_stats (timestamp);
CREATE INDEX process_stats_timestamp ON process_stats (timestamp);
CREATE INDEX container_totals_timestamp ON container_totals (timestamp);
CREATE INDEX process_states_timestamp ON process_states (timestamp);
CREATE INDEX events_timestamp ON events (timestamp);
