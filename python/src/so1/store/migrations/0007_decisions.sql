-- SPDX-License-Identifier: MIT
-- What the governor decided upon, so that another policy can be tried on the past (so1 replay).
ALTER TABLE container_totals ADD COLUMN age_ns INTEGER;  -- since its first process started; NULL: not known
ALTER TABLE container_totals ADD COLUMN looping INTEGER; -- 1: it ends again soon after every start
ALTER TABLE container_totals ADD COLUMN volumes_at_stake INTEGER; -- 1: a volume would go with it, so it may not

-- One row for each decision of the governor; timestamp is that of the tick it decided upon.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    mode TEXT NOT NULL,               -- 'enforce' or 'observe'; with the next four: the policy
    maximum INTEGER NOT NULL,
    keep_low INTEGER NOT NULL,
    keep_high INTEGER NOT NULL,
    grace REAL NOT NULL,              -- seconds
    unfinished INTEGER NOT NULL,      -- 1: an emergency had containers left for which there was no time
    seen TEXT,                        -- JSON: what a second look found otherwise, by container; NULL: nothing
    held TEXT                         -- JSON: why containers were spared, by container; NULL: none was
);
CREATE INDEX decisions_timestamp ON decisions (timestamp);
