-- As before; a posting without an amount is an error.
CREATE OR REPLACE FUNCTION ledger_post(p_id uuid, p_pending uuid, p_amount bigint, p_code smallint, p_meta jsonb, p_excess_id uuid)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_hold transfer; v_answer text; v_wallet bigint; v_excess bigint; v_charged bigint; v_wrote text; v_meta jsonb;
BEGIN
  -- Of nothing and something the smaller is something: without this a posting of NULL charges the whole hold.
  IF p_amount IS NULL THEN RAISE EXCEPTION 'a posting has an amount' USING ERRCODE = 'null_value_not_allowed'; END IF;
  SELECT * INTO v_hold FROM transfer WHERE id = p_pending AND op = 'pending';
  IF NOT FOUND THEN RETURN 'pending_not_found'; END IF;
  v_meta := p_meta || budget_names(v_hold.meta);
  v_excess := greatest(p_amount - v_hold.amount, 0);
  v_answer := ledger_write(p_id, 'post', NULL, NULL, least(p_amount, v_hold.amount), p_pending, p_code,
    v_hold.agent_id, v_hold.workflow_id, v_meta);
  IF v_answer = 'exists' THEN
    -- Both were written together, under the lock that this call holds too.
    SELECT amount INTO v_charged FROM transfer WHERE id = p_excess_id AND op = 'posted' AND credit = v_hold.credit;
    RETURN CASE WHEN coalesce(v_charged, 0) = v_excess THEN 'exists' ELSE 'exists_different' END;
  END IF;
  IF v_answer <> 'ok' THEN RETURN v_answer; END IF;
  PERFORM budget_move(v_hold, -v_hold.amount, p_amount);
  IF v_excess = 0 THEN RETURN 'ok'; END IF;
  v_wrote := ledger_write(p_excess_id, 'posted', v_hold.debit, v_hold.credit, v_excess, NULL, p_code,
    v_hold.agent_id, v_hold.workflow_id, v_meta);
  IF v_wrote = 'insufficient' THEN
    SELECT wallet_id INTO v_wallet FROM account WHERE id = v_hold.debit;
    v_wrote := ledger_write(p_excess_id, 'posted', wallet_account(v_wallet, 'receivable'), v_hold.credit, v_excess,
      NULL, p_code, v_hold.agent_id, v_hold.workflow_id, v_meta);
  END IF;
  -- An id of the caller's that means something else: nothing of this call may stand.
  IF v_wrote <> 'ok' THEN RAISE EXCEPTION 'the excess of % answered %', p_id, v_wrote USING ERRCODE = 'integrity_constraint_violation'; END IF;
  RETURN 'ok';
END $$;
