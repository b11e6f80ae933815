-- SPDX-License-Identifier: MIT
-- How long this database had been watched when the row was written: milliseconds of CLOCK_BOOTTIME
-- while the daemon ran, which nobody can set. Retention goes by it. Rows from before it have the
-- time to the last tick, as a negative number; one that is dated later than the last tick has 0.
ALTER TABLE metrics ADD COLUMN watched_ms INTEGER;
ALTER TABLE events ADD COLUMN watched_ms INTEGER;
UPDATE metrics SET watched_ms
    = min(0, timestamp - (SELECT timestamp FROM metrics ORDER BY id DESC LIMIT 1));
UPDATE events SET watched_ms
    = min(0, timestamp - ifnull((SELECT timestamp FROM metrics ORDER BY id DESC LIMIT 1), timestamp));
