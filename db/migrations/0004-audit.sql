-- Evidence. An intent is committed with the attempt it concerns, before bytes leave; its outcome before the answer
-- leaves; the sealer joins both into one signed record of the tenant's chain. Records are append-only.
CREATE TABLE audit_pending (
  id uuid PRIMARY KEY,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  tenant text NOT NULL,
  intent jsonb NOT NULL,
  outcome jsonb,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_pending_ready ON audit_pending (tenant, ordinal) WHERE outcome IS NOT NULL;
CREATE INDEX audit_pending_at ON audit_pending (at) WHERE outcome IS NULL;

CREATE TABLE audit_head (
  tenant text PRIMARY KEY,
  seq bigint NOT NULL DEFAULT 0,
  sha256 text NOT NULL
);

CREATE TABLE audit_record (
  tenant text NOT NULL,
  seq bigint NOT NULL,
  id uuid NOT NULL UNIQUE,
  body text NOT NULL,
  sha256 text NOT NULL,
  at timestamptz NOT NULL,
  wallet_id bigint,
  decision text NOT NULL,
  PRIMARY KEY (tenant, seq)
);
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- Begins one attempt of a governed effect in one transaction: gate, seq, attempt row, hold, audit intent and, for the
-- first step of a turn, the move of its try to running. Answers {answer, seq?, scope?}:
-- ok, revoked, insufficient, turn_ended, hold_resolved, or a ledger fault.
CREATE FUNCTION attempt_begin(p_attempt jsonb, p_scopes text[], p_epochs bigint[], p_hold jsonb, p_intent jsonb)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_scope text; v_seq bigint; v_held text;
BEGIN
  v_scope := gate_pass(p_scopes, p_epochs);
  IF v_scope IS NOT NULL THEN RETURN jsonb_build_object('answer', 'revoked', 'scope', v_scope); END IF;
  IF p_attempt->>'turnId' IS NOT NULL AND NOT turn_try_run((p_attempt->>'turnId')::uuid, (p_attempt->>'try')::integer) THEN
    RETURN jsonb_build_object('answer', 'turn_ended');
  END IF;
  IF p_hold IS NOT NULL THEN
    v_held := ledger_hold((p_hold->>'id')::uuid, (p_attempt->>'walletId')::bigint, (p_hold->>'revenue')::bigint,
      (p_hold->>'amount')::bigint, (p_hold->>'code')::smallint, p_hold->>'agentId', p_hold->>'workflowId', p_hold->'meta');
    IF v_held = 'exists' AND EXISTS (SELECT 1 FROM transfer WHERE pending_id = (p_hold->>'id')::uuid) THEN
      RETURN jsonb_build_object('answer', 'hold_resolved');
    END IF;
    IF v_held NOT IN ('ok', 'exists') THEN RETURN jsonb_build_object('answer', v_held); END IF;
  END IF;
  v_seq := nextval('effect_seq');
  INSERT INTO attempt (id, seq, kind, effect_key, tenant, wallet_id, turn_id, step, scopes, hold_id)
    VALUES ((p_attempt->>'id')::uuid, v_seq, p_attempt->>'kind', p_attempt->>'effectKey', p_attempt->>'tenant',
      (p_attempt->>'walletId')::bigint, (p_attempt->>'turnId')::uuid, (p_attempt->>'step')::integer, p_scopes, (p_hold->>'id')::uuid);
  INSERT INTO audit_pending (id, tenant, intent)
    VALUES ((p_attempt->>'id')::uuid, p_attempt->>'tenant', p_intent || jsonb_build_object('effect_seq', v_seq));
  RETURN jsonb_build_object('answer', 'ok', 'seq', v_seq);
END $$;
