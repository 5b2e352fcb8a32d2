-- The same rows as before, said so that every question for the resolution of a hold can use it. Questions that did not
-- repeat the old condition, at the end of each turn and when a hold is asked for again, read the whole ledger.
DROP INDEX one_resolution;
CREATE UNIQUE INDEX one_resolution ON transfer (pending_id) WHERE pending_id IS NOT NULL;
