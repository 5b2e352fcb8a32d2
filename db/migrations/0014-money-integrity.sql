-- The ledger trusts no caller. Money takes the paths of the chart of accounts and no others, it can be stopped, and what
-- the application role may call cannot be led astray by objects of the caller's own making.
CREATE TABLE money_stop (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Null: everybody's money.
  wallet_id bigint REFERENCES wallet(id),
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  lifted_at timestamptz,
  lifted_by text,
  CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
CREATE UNIQUE INDEX one_money_stop ON money_stop (coalesce(wallet_id, 0)) WHERE lifted_at IS NULL;

-- Stops the holds of a wallet, or of everybody. Answers false when they were stopped already. Under the lock of the
-- wallet's account: a hold is before or after it.
CREATE FUNCTION money_halt(p_wallet bigint, p_reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM 1 FROM account WHERE id = wallet_account(p_wallet, 'user') FOR NO KEY UPDATE;
  INSERT INTO money_stop (wallet_id, reason) VALUES (p_wallet, p_reason) ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;

-- Lifts a stop. For the owner of the schema, after a clean check; the application role may stop money, not start it.
CREATE FUNCTION money_resume(p_wallet bigint, p_by text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE money_stop SET lifted_at = clock_timestamp(), lifted_by = p_by
    WHERE lifted_at IS NULL AND wallet_id IS NOT DISTINCT FROM p_wallet;
  RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION money_resume(bigint, text) FROM PUBLIC;
GRANT SELECT ON money_stop TO gatehouse_app;

-- What may be debited to whom, by account codes. A new way of money is a new line here.
CREATE FUNCTION money_path(p_op text, p_debit text, p_credit text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_op
    WHEN 'pending' THEN p_debit = 'user' AND p_credit LIKE 'revenue:%'
    WHEN 'posted' THEN (p_debit IN ('user', 'receivable') AND p_credit LIKE 'revenue:%')
      OR (p_debit = 'onchain' AND p_credit = 'user')
    ELSE false END
$$;

-- As before, and: not_allowed for a way that money does not take, or between two wallets; stopped for a hold while money
-- is stopped. What was incurred is posted, and what was held is voided, also then.
CREATE OR REPLACE FUNCTION ledger_write(
  p_id uuid, p_op text, p_debit bigint, p_credit bigint, p_amount bigint, p_pending uuid, p_code smallint,
  p_agent text, p_workflow text, p_meta jsonb
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_debit bigint := p_debit; v_credit bigint := p_credit; v_held bigint := 0; v_unit text;
  v_hash bytea; v_stored bytea; v_short boolean; v_open boolean; v_stopped boolean;
BEGIN
  IF p_op IN ('post', 'void') THEN
    SELECT debit, credit, amount, unit INTO v_debit, v_credit, v_held, v_unit
      FROM transfer WHERE id = p_pending AND op = 'pending';
    IF NOT FOUND THEN RETURN 'pending_not_found'; END IF;
  END IF;
  v_hash := transfer_body_hash(p_op, v_debit, v_credit, p_amount, p_pending, p_code);
  LOOP
    PERFORM 1 FROM account WHERE id IN (v_debit, v_credit) AND projected ORDER BY id FOR NO KEY UPDATE;
    SELECT body_hash INTO v_stored FROM transfer WHERE id = p_id;
    IF FOUND THEN RETURN CASE WHEN v_stored = v_hash THEN 'exists' ELSE 'exists_different' END; END IF;
    IF p_op IN ('post', 'void') THEN
      IF EXISTS (SELECT 1 FROM transfer WHERE pending_id = p_pending AND op IN ('post', 'void')) THEN
        RETURN 'already_resolved';
      END IF;
      IF p_amount > v_held THEN RETURN 'exceeds_pending'; END IF;
    ELSE
      SELECT d.unit, d.no_overdraft AND d.credits_posted - d.debits_posted - d.debits_pending < p_amount,
          money_path(p_op, d.code, c.code) AND d.unit = c.unit AND (d.wallet_id = c.wallet_id) IS NOT FALSE,
          p_op = 'pending' AND EXISTS (SELECT 1 FROM money_stop s
            WHERE s.lifted_at IS NULL AND (s.wallet_id IS NULL OR s.wallet_id = d.wallet_id))
        INTO v_unit, v_short, v_open, v_stopped
        FROM account d, account c
        WHERE d.id = v_debit AND c.id = v_credit;
      IF v_open IS NOT TRUE THEN RETURN 'not_allowed'; END IF;
      IF v_stopped THEN RETURN 'stopped'; END IF;
      IF v_short THEN RETURN 'insufficient'; END IF;
    END IF;
    INSERT INTO transfer (id, op, debit, credit, unit, amount, pending_id, body_hash, code, agent_id, workflow_id, meta)
      VALUES (p_id, p_op, v_debit, v_credit, v_unit, p_amount, p_pending, v_hash, p_code, p_agent, p_workflow, coalesce(p_meta, '{}'))
      ON CONFLICT (id) DO NOTHING;
    EXIT WHEN FOUND;
  END LOOP;
  UPDATE account SET
    debits_pending = debits_pending + CASE p_op WHEN 'pending' THEN p_amount WHEN 'posted' THEN 0 ELSE -v_held END,
    debits_posted = debits_posted + CASE WHEN p_op IN ('posted', 'post') THEN p_amount ELSE 0 END
    WHERE id = v_debit AND projected;
  UPDATE account SET
    credits_pending = credits_pending + CASE p_op WHEN 'pending' THEN p_amount WHEN 'posted' THEN 0 ELSE -v_held END,
    credits_posted = credits_posted + CASE WHEN p_op IN ('posted', 'post') THEN p_amount ELSE 0 END
    WHERE id = v_credit AND projected;
  RETURN 'ok';
END $$;

-- Play money has a bound, whoever asks for it: 100 USD, once per wallet.
CREATE OR REPLACE FUNCTION faucet_fund(p_id uuid, p_wallet bigint, p_amount bigint)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF p_amount > 100000000 THEN RETURN 'not_allowed'; END IF;
  UPDATE wallet SET faucet_at = clock_timestamp() WHERE id = p_wallet AND faucet_at IS NULL;
  IF NOT FOUND THEN RETURN 'used'; END IF;
  RETURN ledger_write(p_id, 'posted', wallet_account(p_wallet, 'onchain'), wallet_account(p_wallet, 'user'), p_amount,
    NULL, 1::smallint, NULL, NULL, '{"source":"faucet"}');
END $$;

-- The head of a chain only moves forward, and is never taken away.
CREATE FUNCTION refuse_backward_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.tenant <> OLD.tenant OR NEW.seq < OLD.seq OR (NEW.seq = OLD.seq AND NEW.sha256 <> OLD.sha256) THEN
    RAISE EXCEPTION 'the head of a chain only moves forward' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION refuse_backward_head();
REVOKE DELETE ON audit_head FROM gatehouse_app;

-- A schema that is not named is searched before all others for a caller's temporary tables: one called `account` would
-- answer for the balance. Named last, it never does. Nobody needs temporary tables or a place in our schema either.
DO $$
DECLARE v_function regprocedure;
BEGIN
  FOR v_function IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = public, pg_temp', v_function);
  END LOOP;
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
