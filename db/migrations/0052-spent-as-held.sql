-- What is posted is counted as its hold was: for the names of the hold and no others, on its day, also by a budget that is
-- set later. `heldOn`: the day of the hold whose excess a transfer is; the row itself is written on another day, maybe.
CREATE OR REPLACE FUNCTION ledger_post(p_id uuid, p_pending uuid, p_amount bigint, p_code smallint, p_meta jsonb, p_excess_id uuid)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_hold transfer; v_answer text; v_wallet bigint; v_excess bigint; v_charged bigint; v_wrote text; v_meta jsonb;
BEGIN
  -- Of nothing and something the smaller is something: without this a posting of NULL charges the whole hold.
  IF p_amount IS NULL THEN RAISE EXCEPTION 'a posting has an amount' USING ERRCODE = 'null_value_not_allowed'; END IF;
  SELECT * INTO v_hold FROM transfer WHERE id = p_pending AND op = 'pending';
  IF NOT FOUND THEN RETURN 'pending_not_found'; END IF;
  p_meta := coalesce(p_meta, '{}') - ARRAY['sessionId', 'scopeId', 'reflection', 'heldOn'];
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
  v_meta := v_meta || jsonb_build_object('heldOn', utc_day(v_hold.at));
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

-- As before; what exceeded a hold counts on the day of the hold.
CREATE OR REPLACE FUNCTION budget_set(p_wallet bigint, p_kind text, p_subject text, p_period text, p_limit bigint, p_max integer)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_user bigint := wallet_account(p_wallet, 'user'); v_owed bigint := wallet_account(p_wallet, 'receivable');
BEGIN
  PERFORM 1 FROM account WHERE id = v_user FOR NO KEY UPDATE;
  UPDATE budget SET limit_micros = p_limit, at = clock_timestamp()
    WHERE wallet_id = p_wallet AND kind = p_kind AND subject = p_subject AND period = p_period;
  IF FOUND THEN RETURN 'ok'; END IF;
  IF (SELECT count(*) FROM budget WHERE wallet_id = p_wallet) >= p_max THEN RETURN 'too_many'; END IF;
  IF NOT EXISTS (SELECT 1 FROM budget WHERE wallet_id = p_wallet AND kind = p_kind AND subject = p_subject) THEN
    INSERT INTO budget_bucket (wallet_id, kind, subject, day, reserved, spent)
    SELECT p_wallet, p_kind, p_subject, d.day, sum(x.reserved), sum(x.spent)
    FROM (
      SELECT utc_day(h.at) AS day, CASE WHEN r.id IS NULL THEN h.amount ELSE 0 END AS reserved,
          CASE WHEN r.op = 'post' THEN r.amount ELSE 0 END AS spent
        FROM transfer h LEFT JOIN transfer r ON r.pending_id = h.id
        WHERE h.debit = v_user AND h.op = 'pending' AND budget_covers(p_kind, p_subject, h.agent_id, h.meta)
      UNION ALL
      SELECT coalesce((t.meta->>'heldOn')::date, utc_day(t.at)), 0, t.amount FROM transfer t JOIN account c ON c.id = t.credit
        WHERE t.debit IN (v_user, v_owed) AND t.op = 'posted' AND c.code LIKE 'revenue:%'
          AND budget_covers(p_kind, p_subject, t.agent_id, t.meta)) x
      CROSS JOIN LATERAL (VALUES (x.day), ('-infinity'::date)) d(day)
    GROUP BY d.day;
  END IF;
  INSERT INTO budget (wallet_id, kind, subject, period, limit_micros) VALUES (p_wallet, p_kind, p_subject, p_period, p_limit);
  RETURN 'ok';
END $$;

-- As before; a next try locks its turn first. Whoever records a step of an earlier try locks the turn, the session and the
-- account in this order too; in another, both would wait for each other.
CREATE OR REPLACE FUNCTION turn_begin(p_turn jsonb, p_scopes text[], p_epochs bigint[], p_hold jsonb, p_queue_max integer)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_scope text; v_held text; v_turn uuid := (p_turn->>'id')::uuid; v_try integer := (p_turn->>'try')::integer;
  v_session uuid := (p_turn->>'sessionId')::uuid; v_open integer;
BEGIN
  v_scope := gate_pass(p_scopes, p_epochs);
  IF v_scope IS NOT NULL THEN RETURN jsonb_build_object('answer', 'revoked', 'scope', v_scope); END IF;
  IF v_try > 1 THEN PERFORM 1 FROM turn WHERE id = v_turn FOR NO KEY UPDATE; END IF;
  PERFORM 1 FROM chat_session WHERE id = v_session AND state = 'open' FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('answer', 'session_gone'); END IF;
  SELECT count(*) INTO v_open FROM turn t JOIN turn_try y ON y.turn_id = t.id
    WHERE t.session_id = v_session AND y.state <> 'ended';
  IF v_open > p_queue_max THEN RETURN jsonb_build_object('answer', 'queue_full'); END IF;
  v_held := ledger_hold((p_hold->>'id')::uuid, (p_turn->>'walletId')::bigint, (p_hold->>'revenue')::bigint,
    (p_hold->>'amount')::bigint, (p_hold->>'code')::smallint, p_hold->>'agentId', p_hold->>'workflowId', p_hold->'meta');
  IF v_held <> 'ok' THEN RETURN jsonb_build_object('answer', v_held); END IF;
  IF v_try = 1 THEN
    INSERT INTO turn (id, session_id, wallet_id, model, admission)
      VALUES (v_turn, v_session, (p_turn->>'walletId')::bigint, p_turn->>'model', p_turn->'admission');
    INSERT INTO message (id, session_id, turn_id, kind, step, content)
      VALUES (gen_random_uuid(), v_session, v_turn, 'user', 0, p_turn->'message');
    UPDATE chat_session SET message_count = message_count + 1, last_active_at = clock_timestamp(),
      last_message_at = clock_timestamp(), preview = left(p_turn->>'preview', 120) WHERE id = v_session;
  ELSE
    UPDATE turn SET try = v_try, admission = p_turn->'admission', outcome = NULL, ended_at = NULL, done_delivered_at = NULL
      WHERE id = v_turn;
  END IF;
  INSERT INTO turn_try (turn_id, try, hold_id) VALUES (v_turn, v_try, (p_hold->>'id')::uuid);
  UPDATE turn_key SET turn_id = v_turn, body_hash = p_turn->>'bodyHash' WHERE session_id = v_session AND key = p_turn->>'key';
  RETURN jsonb_build_object('answer', 'ok');
END $$;
