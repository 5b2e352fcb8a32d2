-- The gate. A revocation and every attempt of a governed effect draw from one sequence under locks on their scopes, so
-- that each attempt is before or after each revocation that concerns it, without clocks.
CREATE SEQUENCE effect_seq;

CREATE TABLE revocation_epoch (
  scope text PRIMARY KEY,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  reason text NOT NULL,
  revoked_by text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX revocation_epoch_at ON revocation_epoch (at);

-- One row per attempt, retries too, of a model call, a tool call above read or anything priced, committed before any
-- byte of the effect leaves.
CREATE TABLE attempt (
  id uuid PRIMARY KEY,
  seq bigint NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('model', 'tool')),
  effect_key text NOT NULL,
  tenant text NOT NULL,
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  turn_id uuid,
  step integer,
  scopes text[] NOT NULL,
  hold_id uuid,
  usage jsonb,
  outcome text,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);
CREATE INDEX attempt_effect ON attempt (effect_key);
CREATE INDEX attempt_turn ON attempt (turn_id);

-- Bumps the epochs of the scopes and tells every process, in one transaction. Answers the seq of the revocation.
CREATE FUNCTION revoke_scopes(p_scopes text[], p_reason text, p_by text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_scope text; v_seq bigint; v_epoch bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended(s, 0) AS key FROM unnest(p_scopes) s ORDER BY 1) sorted;
  v_seq := nextval('effect_seq');
  FOREACH v_scope IN ARRAY p_scopes LOOP
    INSERT INTO revocation_epoch AS r (scope, epoch, seq, reason, revoked_by) VALUES (v_scope, 1, v_seq, p_reason, p_by)
    ON CONFLICT (scope) DO UPDATE SET epoch = r.epoch + 1, seq = v_seq, reason = p_reason, revoked_by = p_by,
      at = clock_timestamp()
    RETURNING epoch INTO v_epoch;
    PERFORM pg_notify('revocation', json_build_object('scope', v_scope, 'epoch', v_epoch, 'seq', v_seq)::text);
  END LOOP;
  RETURN v_seq;
END $$;

-- Takes the scopes' locks in shared mode, sorted; in a later statement reads their epochs. Answers the first revoked
-- scope, or null. VOLATILE: each statement sees what committed before it.
CREATE FUNCTION gate_pass(p_scopes text[], p_epochs bigint[]) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE v_revoked text;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(key) FROM (
    SELECT DISTINCT hashtextextended(s, 0) AS key FROM unnest(p_scopes) s ORDER BY 1) sorted;
  SELECT g.scope INTO v_revoked
    FROM unnest(p_scopes, p_epochs) AS g(scope, epoch) JOIN revocation_epoch r ON r.scope = g.scope
    WHERE r.epoch > g.epoch ORDER BY g.scope LIMIT 1;
  RETURN v_revoked;
END $$;
