-- Budgets of a wallet: for all it spends, for one agent, for one chat session; per UTC day, per rolling 7 or 30 UTC days,
-- or in total. What counts is kept per subject and day. Everything here happens under the lock of the wallet's own account
-- row, which each hold, post and void of the wallet takes anyway: no second lock, no order to keep, no deadlock.
CREATE TABLE budget (
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  kind text NOT NULL CHECK (kind IN ('wallet', 'agent', 'session')),
  subject text NOT NULL,
  period text NOT NULL CHECK (period IN ('daily', 'weekly', 'monthly', 'total')),
  limit_micros bigint NOT NULL CHECK (limit_micros >= 0),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (wallet_id, kind, subject, period)
);

-- One row per subject with a budget and day on which something was reserved, and one for all days (day -infinity).
CREATE TABLE budget_bucket (
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  kind text NOT NULL,
  subject text NOT NULL,
  day date NOT NULL,
  reserved bigint NOT NULL,
  spent bigint NOT NULL,
  PRIMARY KEY (wallet_id, kind, subject, day)
) WITH (fillfactor = 70);

CREATE FUNCTION utc_day(p_at timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT (p_at AT TIME ZONE 'UTC')::date $$;

CREATE FUNCTION budget_covers(p_kind text, p_subject text, p_agent text, p_session text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_kind WHEN 'wallet' THEN true WHEN 'agent' THEN p_subject = p_agent ELSE p_subject = p_session END IS TRUE
$$;

-- What counts against a budget now.
CREATE FUNCTION budget_used(p_wallet bigint, p_kind text, p_subject text, p_period text, OUT spent bigint, OUT reserved bigint)
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(b.spent), 0)::bigint, coalesce(sum(b.reserved), 0)::bigint FROM budget_bucket b
  WHERE b.wallet_id = p_wallet AND b.kind = p_kind AND b.subject = p_subject AND CASE p_period
    WHEN 'total' THEN b.day = '-infinity'
    WHEN 'daily' THEN b.day = utc_day(clock_timestamp())
    WHEN 'weekly' THEN b.day > utc_day(clock_timestamp()) - 7
    ELSE b.day > utc_day(clock_timestamp()) - 30 END
$$;

-- The first budget, in a fixed order, that another amount would pass; null when all cover it.
CREATE FUNCTION budget_over(p_wallet bigint, p_agent text, p_session text, p_amount bigint) RETURNS jsonb LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public AS $$
  SELECT jsonb_build_object('kind', b.kind, 'subject', b.subject, 'period', b.period, 'limit', b.limit_micros::text,
    'spent', u.spent::text, 'reserved', u.reserved::text)
  FROM budget b CROSS JOIN LATERAL budget_used(b.wallet_id, b.kind, b.subject, b.period) u
  WHERE b.wallet_id = p_wallet AND budget_covers(b.kind, b.subject, p_agent, p_session)
    AND u.spent + u.reserved + p_amount > b.limit_micros
  ORDER BY array_position(ARRAY['wallet', 'agent', 'session'], b.kind),
    array_position(ARRAY['daily', 'weekly', 'monthly', 'total'], b.period) LIMIT 1
$$;

-- Moves what is reserved and spent, of the day on which the hold was taken, also after midnight.
CREATE FUNCTION budget_move(p_hold transfer, p_reserved bigint, p_spent bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO budget_bucket (wallet_id, kind, subject, day, reserved, spent)
  SELECT s.wallet_id, s.kind, s.subject, d.day, p_reserved, p_spent
  FROM (SELECT DISTINCT b.wallet_id, b.kind, b.subject FROM budget b JOIN account a ON a.wallet_id = b.wallet_id
        WHERE a.id = p_hold.debit AND budget_covers(b.kind, b.subject, p_hold.agent_id, p_hold.meta->>'sessionId')) s
    CROSS JOIN (VALUES (utc_day(p_hold.at)), ('-infinity'::date)) d(day)
  ON CONFLICT (wallet_id, kind, subject, day) DO UPDATE
    SET reserved = budget_bucket.reserved + EXCLUDED.reserved, spent = budget_bucket.spent + EXCLUDED.spent
$$;

-- Sets a limit. The first budget of a subject counts what was spent and reserved before it. A limit below what is spent
-- is accepted and stops what comes. Answers ok or too_many.
CREATE FUNCTION budget_set(p_wallet bigint, p_kind text, p_subject text, p_period text, p_limit bigint, p_max integer)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
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
        WHERE h.debit = v_user AND h.op = 'pending' AND budget_covers(p_kind, p_subject, h.agent_id, h.meta->>'sessionId')
      UNION ALL
      SELECT utc_day(t.at), 0, t.amount FROM transfer t JOIN account c ON c.id = t.credit
        WHERE t.debit IN (v_user, v_owed) AND t.op = 'posted' AND c.code LIKE 'revenue:%'
          AND budget_covers(p_kind, p_subject, t.agent_id, t.meta->>'sessionId')) x
      CROSS JOIN LATERAL (VALUES (x.day), ('-infinity'::date)) d(day)
    GROUP BY d.day;
  END IF;
  INSERT INTO budget (wallet_id, kind, subject, period, limit_micros) VALUES (p_wallet, p_kind, p_subject, p_period, p_limit);
  RETURN 'ok';
END $$;

-- Removes a limit, and with the last one of a subject what was counted for it. Answers whether there was one.
CREATE FUNCTION budget_drop(p_wallet bigint, p_kind text, p_subject text, p_period text)
RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
BEGIN
  PERFORM 1 FROM account WHERE id = wallet_account(p_wallet, 'user') FOR NO KEY UPDATE;
  DELETE FROM budget WHERE wallet_id = p_wallet AND kind = p_kind AND subject = p_subject AND period = p_period;
  IF NOT FOUND THEN RETURN false; END IF;
  IF NOT EXISTS (SELECT 1 FROM budget WHERE wallet_id = p_wallet AND kind = p_kind AND subject = p_subject) THEN
    DELETE FROM budget_bucket WHERE wallet_id = p_wallet AND kind = p_kind AND subject = p_subject;
  END IF;
  RETURN true;
END $$;

-- Reserves an upper bound before an effect starts: every budget and the balance cover it, or nothing is written
-- (over_budget, insufficient). The same hold again is found before anything is judged. p_meta.sessionId: the chat session.
CREATE OR REPLACE FUNCTION ledger_hold(p_id uuid, p_wallet bigint, p_revenue bigint, p_amount bigint, p_code smallint, p_agent text, p_workflow text, p_meta jsonb)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_user bigint := wallet_account(p_wallet, 'user'); v_answer text; v_hold transfer;
BEGIN
  PERFORM 1 FROM account WHERE id = v_user FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT 1 FROM transfer WHERE id = p_id)
    AND budget_over(p_wallet, p_agent, p_meta->>'sessionId', p_amount) IS NOT NULL THEN RETURN 'over_budget'; END IF;
  v_answer := ledger_write(p_id, 'pending', v_user, p_revenue, p_amount, NULL, p_code, p_agent, p_workflow, p_meta);
  IF v_answer = 'ok' THEN
    SELECT * INTO v_hold FROM transfer WHERE id = p_id;
    PERFORM budget_move(v_hold, p_amount, 0);
  END IF;
  RETURN v_answer;
END $$;

CREATE OR REPLACE FUNCTION ledger_void(p_id uuid, p_pending uuid, p_code smallint, p_meta jsonb)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_answer text; v_hold transfer;
BEGIN
  v_answer := ledger_write(p_id, 'void', NULL, NULL, 0, p_pending, p_code, NULL, NULL, p_meta);
  IF v_answer = 'ok' THEN
    SELECT * INTO v_hold FROM transfer WHERE id = p_pending;
    PERFORM budget_move(v_hold, -v_hold.amount, 0);
  END IF;
  RETURN v_answer;
END $$;

-- As before; what was posted is spent of the budgets, also what exceeds the hold or the limit.
CREATE OR REPLACE FUNCTION ledger_post(p_id uuid, p_pending uuid, p_amount bigint, p_code smallint, p_meta jsonb, p_excess_id uuid)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_hold transfer; v_answer text; v_wallet bigint; v_excess text;
BEGIN
  SELECT * INTO v_hold FROM transfer WHERE id = p_pending AND op = 'pending';
  IF NOT FOUND THEN RETURN 'pending_not_found'; END IF;
  v_answer := ledger_write(p_id, 'post', NULL, NULL, least(p_amount, v_hold.amount), p_pending, p_code,
    v_hold.agent_id, v_hold.workflow_id, p_meta);
  IF v_answer = 'ok' THEN PERFORM budget_move(v_hold, -v_hold.amount, p_amount); END IF;
  IF p_amount <= v_hold.amount OR v_answer NOT IN ('ok', 'exists') THEN RETURN v_answer; END IF;
  v_excess := ledger_write(p_excess_id, 'posted', v_hold.debit, v_hold.credit, p_amount - v_hold.amount, NULL, p_code,
    v_hold.agent_id, v_hold.workflow_id, p_meta);
  IF v_excess = 'insufficient' OR v_excess = 'exists_different' THEN
    SELECT wallet_id INTO v_wallet FROM account WHERE id = v_hold.debit;
    v_excess := ledger_write(p_excess_id, 'posted', wallet_account(v_wallet, 'receivable'), v_hold.credit,
      p_amount - v_hold.amount, NULL, p_code, v_hold.agent_id, v_hold.workflow_id, p_meta);
    IF v_excess NOT IN ('ok', 'exists') THEN RETURN v_excess; END IF;
  END IF;
  RETURN v_answer;
END $$;

GRANT SELECT ON budget, budget_bucket TO gatehouse_app;
REVOKE EXECUTE ON FUNCTION budget_move(transfer, bigint, bigint) FROM PUBLIC;
