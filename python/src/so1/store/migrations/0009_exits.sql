-- SPDX-License-Identifier: MIT
-- Processes that ended, as the kernel module so1_exits tells them: those that failed or were large.
-- An so1 that does not know them leaves them as they are.
PRAGMA application_id = 8;
CREATE TABLE exits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,   -- of the tick that learned of it
    ended_at INTEGER NOT NULL,    -- epoch ms
    pid INTEGER NOT NULL,
    ppid INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    name TEXT NOT NULL,
    container_id TEXT,            -- NULL: in none
    container_name TEXT,          -- NULL: not known
    code INTEGER NOT NULL,        -- exit code
    signal INTEGER NOT NULL,      -- that ended it; 0: none
    oom_killed INTEGER NOT NULL,  -- 1: the OOM killer chose it
    lived_ms INTEGER NOT NULL,
    cpu_ms INTEGER NOT NULL,
    peak_ram INTEGER NOT NULL,    -- KiB
    read_bytes INTEGER,           -- NULL: not known
    written_bytes INTEGER
);
CREATE INDEX exits_timestamp ON exits (timestamp);
ALTER TABLE metrics ADD COLUMN exits INTEGER;        -- how many processes ended since the tick before; NULL: not known
ALTER TABLE metrics ADD COLUMN exits_missed INTEGER; -- how many of them nothing more is known of
