-- SPDX-License-Identifier: MIT
-- The limited processes of each tick, where the kernel has the memory limiter.
CREATE TABLE memory_limits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    process_name TEXT NOT NULL,
    limit_bytes INTEGER NOT NULL,     -- address space it may have; at most 2^63-1, as all of SQLite's numbers
    size_bytes INTEGER NOT NULL,      -- address space it has
    set_at INTEGER NOT NULL,          -- Unix epoch in milliseconds
    set_by INTEGER NOT NULL           -- uid
);
CREATE INDEX memory_limits_timestamp ON memory_limits (timestamp);
