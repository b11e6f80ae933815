-- SPDX-License-Identifier: MIT
-- The journal of removals: how far each came, written before the step is taken.
CREATE TABLE removals (
    container_id TEXT PRIMARY KEY,
    step TEXT NOT NULL,               -- planned, stopping, then removed, refused or failed
    timestamp INTEGER NOT NULL,       -- when it came to this step
    "by" TEXT NOT NULL,               -- 'governor' or 'cleanup'
    container_name TEXT NOT NULL,
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    ram_usage INTEGER,                -- KiB that the kernel charged it
    cpu_usage REAL,
    rule TEXT NOT NULL,
    reason TEXT NOT NULL,             -- why it goes or, where it did not, why it stays
    started_at REAL,                  -- the start that was looked at, by the engine's clock
    failure TEXT,                     -- what went wrong on the way
    recreate TEXT,                    -- the command line that would bring the container back
    told INTEGER NOT NULL             -- 1 once the table events says how it ended
);
CREATE INDEX removals_told ON removals (told, timestamp);
