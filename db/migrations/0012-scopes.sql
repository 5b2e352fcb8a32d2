-- Runtime scopes: named parts of a wallet's spending, each with its own budget and its own list of tool servers. And two
-- more conditions of a hold: an active scope, and the balance that must be left.
CREATE TABLE runtime_scope (
  id uuid PRIMARY KEY,
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  name text NOT NULL,
  external_ref text,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
  metadata jsonb NOT NULL DEFAULT '{}',
  server_ids text[] NOT NULL DEFAULT '{}',
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX runtime_scope_wallet ON runtime_scope (wallet_id, ordinal);

-- What a wallet's owner has set. `minimumBalanceMicroUsd` is obeyed by holds.
CREATE TABLE wallet_setting (
  wallet_id bigint PRIMARY KEY REFERENCES wallet(id),
  settings jsonb NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX transfer_scope ON transfer ((meta->>'scopeId')) WHERE op IN ('post', 'posted') AND meta ? 'scopeId';

ALTER TABLE budget DROP CONSTRAINT budget_kind_check,
  ADD CONSTRAINT budget_kind_check CHECK (kind IN ('wallet', 'scope', 'agent', 'session', 'reflection'));

-- What a transfer is counted for besides its wallet and agent: {sessionId?, scopeId?, reflection?} of its meta.
CREATE FUNCTION budget_names(p_meta jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('sessionId', p_meta->'sessionId', 'scopeId', p_meta->'scopeId',
    'reflection', p_meta->'reflection'))
$$;

DROP FUNCTION budget_covers(text, text, text, text);
CREATE FUNCTION budget_covers(p_kind text, p_subject text, p_agent text, p_meta jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_kind WHEN 'wallet' THEN true WHEN 'scope' THEN p_subject = p_meta->>'scopeId' WHEN 'agent' THEN p_subject = p_agent
    WHEN 'session' THEN p_subject = p_meta->>'sessionId' ELSE p_meta->'reflection' = 'true' END IS TRUE
$$;

DROP FUNCTION budget_over(bigint, text, text, bigint);
-- The first budget, in a fixed order, that another amount would pass; null when all cover it.
CREATE FUNCTION budget_over(p_wallet bigint, p_agent text, p_meta jsonb, p_amount bigint) RETURNS jsonb LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public AS $$
  SELECT jsonb_build_object('kind', b.kind, 'subject', b.subject, 'period', b.period, 'limit', b.limit_micros::text,
    'spent', u.spent::text, 'reserved', u.reserved::text)
  FROM budget b CROSS JOIN LATERAL budget_used(b.wallet_id, b.kind, b.subject, b.period) u
  WHERE b.wallet_id = p_wallet AND budget_covers(b.kind, b.subject, p_agent, p_meta)
    AND u.spent + u.reserved + p_amount > b.limit_micros
  ORDER BY array_position(ARRAY['wallet', 'scope', 'agent', 'session', 'reflection'], b.kind),
    array_position(ARRAY['daily', 'weekly', 'monthly', 'total'], b.period) LIMIT 1
$$;

CREATE OR REPLACE FUNCTION budget_move(p_hold transfer, p_reserved bigint, p_spent bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO budget_bucket (wallet_id, kind, subject, day, reserved, spent)
  SELECT s.wallet_id, s.kind, s.subject, d.day, p_reserved, p_spent
  FROM (SELECT DISTINCT b.wallet_id, b.kind, b.subject FROM budget b JOIN account a ON a.wallet_id = b.wallet_id
        WHERE a.id = p_hold.debit AND budget_covers(b.kind, b.subject, p_hold.agent_id, p_hold.meta)) s
    CROSS JOIN (VALUES (utc_day(p_hold.at)), ('-infinity'::date)) d(day)
  ON CONFLICT (wallet_id, kind, subject, day) DO UPDATE
    SET reserved = budget_bucket.reserved + EXCLUDED.reserved, spent = budget_bucket.spent + EXCLUDED.spent
$$;

CREATE OR REPLACE FUNCTION budget_set(p_wallet bigint, p_kind text, p_subject text, p_period text, p_limit bigint, p_max integer)
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
        WHERE h.debit = v_user AND h.op = 'pending' AND budget_covers(p_kind, p_subject, h.agent_id, h.meta)
      UNION ALL
      SELECT utc_day(t.at), 0, t.amount FROM transfer t JOIN account c ON c.id = t.credit
        WHERE t.debit IN (v_user, v_owed) AND t.op = 'posted' AND c.code LIKE 'revenue:%'
          AND budget_covers(p_kind, p_subject, t.agent_id, t.meta)) x
      CROSS JOIN LATERAL (VALUES (x.day), ('-infinity'::date)) d(day)
    GROUP BY d.day;
  END IF;
  INSERT INTO budget (wallet_id, kind, subject, period, limit_micros) VALUES (p_wallet, p_kind, p_subject, p_period, p_limit);
  RETURN 'ok';
END $$;

-- Whether money may be reserved for a scope: none was named, or it is the wallet's own and active.
CREATE FUNCTION scope_is_active(p_wallet bigint, p_scope text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT p_scope IS NULL OR EXISTS (
    SELECT 1 FROM runtime_scope WHERE id = p_scope::uuid AND wallet_id = p_wallet AND status = 'active')
$$;

-- What must be left after a hold: the wallet's own setting, else the policy's, which the hold brings along.
CREATE FUNCTION minimum_balance(p_wallet bigint, p_meta jsonb) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT (settings->>'minimumBalanceMicroUsd')::bigint FROM wallet_setting WHERE wallet_id = p_wallet),
    (p_meta->>'minimumMicros')::bigint, 0)
$$;

-- Reserves an upper bound before an effect starts: an active scope, every budget, the balance and what must be left of it
-- cover it, or nothing is written (scope_inactive, over_budget, insufficient, minimum_balance). The same hold again is
-- found before anything is judged. p_meta: {sessionId?, scopeId?, reflection?, minimumMicros?} and what else is to be kept.
CREATE OR REPLACE FUNCTION ledger_hold(p_id uuid, p_wallet bigint, p_revenue bigint, p_amount bigint, p_code smallint, p_agent text, p_workflow text, p_meta jsonb)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_user bigint; v_left bigint; v_answer text; v_hold transfer;
BEGIN
  SELECT id, credits_posted - debits_posted - debits_pending - p_amount INTO v_user, v_left
    FROM account WHERE id = wallet_account(p_wallet, 'user') FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT 1 FROM transfer WHERE id = p_id) THEN
    IF NOT scope_is_active(p_wallet, p_meta->>'scopeId') THEN RETURN 'scope_inactive'; END IF;
    IF budget_over(p_wallet, p_agent, p_meta, p_amount) IS NOT NULL THEN RETURN 'over_budget'; END IF;
    IF v_left >= 0 AND v_left < minimum_balance(p_wallet, p_meta) THEN RETURN 'minimum_balance'; END IF;
  END IF;
  v_answer := ledger_write(p_id, 'pending', v_user, p_revenue, p_amount, NULL, p_code, p_agent, p_workflow, p_meta);
  IF v_answer = 'ok' THEN
    SELECT * INTO v_hold FROM transfer WHERE id = p_id;
    PERFORM budget_move(v_hold, p_amount, 0);
  END IF;
  RETURN v_answer;
END $$;

-- As before; what is posted is counted for the same subjects as its hold, also the excess, whatever the caller's meta says.
CREATE OR REPLACE FUNCTION ledger_post(p_id uuid, p_pending uuid, p_amount bigint, p_code smallint, p_meta jsonb, p_excess_id uuid)
RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_hold transfer; v_answer text; v_wallet bigint; v_excess text; v_meta jsonb;
BEGIN
  SELECT * INTO v_hold FROM transfer WHERE id = p_pending AND op = 'pending';
  IF NOT FOUND THEN RETURN 'pending_not_found'; END IF;
  v_meta := p_meta || budget_names(v_hold.meta);
  v_answer := ledger_write(p_id, 'post', NULL, NULL, least(p_amount, v_hold.amount), p_pending, p_code,
    v_hold.agent_id, v_hold.workflow_id, v_meta);
  IF v_answer = 'ok' THEN PERFORM budget_move(v_hold, -v_hold.amount, p_amount); END IF;
  IF p_amount <= v_hold.amount OR v_answer NOT IN ('ok', 'exists') THEN RETURN v_answer; END IF;
  v_excess := ledger_write(p_excess_id, 'posted', v_hold.debit, v_hold.credit, p_amount - v_hold.amount, NULL, p_code,
    v_hold.agent_id, v_hold.workflow_id, v_meta);
  IF v_excess = 'insufficient' OR v_excess = 'exists_different' THEN
    SELECT wallet_id INTO v_wallet FROM account WHERE id = v_hold.debit;
    v_excess := ledger_write(p_excess_id, 'posted', wallet_account(v_wallet, 'receivable'), v_hold.credit,
      p_amount - v_hold.amount, NULL, p_code, v_hold.agent_id, v_hold.workflow_id, v_meta);
    IF v_excess NOT IN ('ok', 'exists') THEN RETURN v_excess; END IF;
  END IF;
  RETURN v_answer;
END $$;

-- What was ever spent under a scope.
CREATE FUNCTION runtime_scope_spent(p_wallet bigint, p_scope uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    (SELECT spent FROM budget_bucket WHERE wallet_id = p_wallet AND kind = 'scope' AND subject = p_scope::text AND day = '-infinity'),
    (SELECT sum(t.amount)::bigint FROM transfer t JOIN account a ON a.id = t.debit AND a.wallet_id = p_wallet
     WHERE t.meta->>'scopeId' = p_scope::text AND t.op IN ('post', 'posted') AND t.meta ? 'scopeId'), 0)
$$;

GRANT SELECT, INSERT, UPDATE ON runtime_scope, wallet_setting TO gatehouse_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO gatehouse_app;
