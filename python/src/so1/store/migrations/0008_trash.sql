-- SPDX-License-Identifier: MIT
-- The wastebasket is part of the journal of removals: its containers are those at the step 'trashed'.
-- New steps: trashed, then emptied, or returning and returned.
ALTER TABLE removals ADD COLUMN original TEXT;       -- JSON: what brings the container back
ALTER TABLE removals ADD COLUMN watched_ms INTEGER;  -- as in metrics, when it came to this step
ALTER TABLE removals ADD COLUMN layer_bytes INTEGER; -- bytes of its own layer; NULL: not measured
CREATE INDEX removals_step ON removals (step, watched_ms);
-- What somebody had taken back when the governor decided.
ALTER TABLE decisions ADD COLUMN spared TEXT; -- JSON: why, by container; NULL: none was
