-- SPDX-License-Identifier: MIT
-- What the kernel charges each container, from its cgroup; how old the engine's word is; troubles.
ALTER TABLE metrics ADD COLUMN available_ram INTEGER; -- KiB that programs could get without swapping
ALTER TABLE metrics ADD COLUMN docker_age REAL;       -- seconds since Docker was last heard; NULL: never
ALTER TABLE metrics ADD COLUMN troubles TEXT;         -- a line for each thing that did not work; NULL: none

-- Made anew: what was not seen must be NULL there too, which these columns were not allowed to be.
ALTER TABLE container_totals RENAME TO container_totals_before;
DROP INDEX container_totals_timestamp;
CREATE TABLE container_totals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    container_id TEXT NOT NULL,
    container_name TEXT NOT NULL,
    image TEXT NOT NULL,
    class TEXT NOT NULL,              -- 'low', 'high', or 'unmanaged'
    process_count INTEGER,            -- NULL: none was seen
    ram_usage INTEGER,                -- KiB: the sum of its processes' RSS; shared pages count for each
    cpu_usage REAL,                   -- percent of one CPU over the interval, by the cgroup
    -- Of the cgroup; NULL where it could not be read or does not tell.
    memory INTEGER,                   -- KiB charged, without the file cache that is given back first
    memory_limit INTEGER,             -- KiB; NULL also where there is none
    oom_kills INTEGER,                -- processes killed for want of memory, over the interval
    cpu_throttled REAL,               -- percent of the interval that a CPU quota made it wait
    read_bytes INTEGER,               -- from block devices, over the interval
    written_bytes INTEGER,            -- to block devices, over the interval
    pids INTEGER,                     -- processes and threads
    cpu_pressure REAL,                -- percent of the interval that some of it waited for CPU
    memory_pressure REAL,             -- … for memory
    io_pressure REAL,                 -- … for I/O
    restarts INTEGER,                 -- how often its restart policy has started it again
    health TEXT                       -- 'healthy', 'unhealthy', 'starting'; NULL: no health check
);
INSERT INTO container_totals (id, timestamp, container_id, container_name, image, class, process_count,
                              ram_usage, cpu_usage)
    SELECT id, timestamp, container_id, container_name, image, class, process_count, ram_usage, cpu_usage
    FROM container_totals_before ORDER BY id;
DROP TABLE container_totals_before;
CREATE INDEX container_totals_timestamp ON container_totals (timestamp);
