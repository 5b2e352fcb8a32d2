-- What came of a hold is looked up by the hold: without this each hold that nobody resolved costs a look at every attempt.
CREATE INDEX attempt_hold ON attempt (hold_id) WHERE hold_id IS NOT NULL;
