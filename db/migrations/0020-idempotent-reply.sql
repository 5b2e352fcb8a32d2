-- Replies of mutating routes under the keys that callers chose, so that the same request again gets the same answer.
-- `sealed`: the reply under the installation's master key, because some replies are credentials; null while the first
-- request runs. A claim whose process died lapses.
CREATE TABLE idempotent_reply (
  owner text NOT NULL,
  route text NOT NULL,
  key text NOT NULL,
  body_hash text NOT NULL,
  claim uuid NOT NULL,
  claimed_until timestamptz NOT NULL,
  sealed bytea,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (owner, route, key)
);
CREATE INDEX idempotent_reply_expiry ON idempotent_reply (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_reply TO gatehouse_app;

-- Answers `run` to whoever may run the request, `stored` with its reply, `busy` while it runs, `reused` for another body,
-- `full` when the owner has as many keys as it may. p_name: {owner, route, key, bodyHash}.
CREATE FUNCTION idempotent_claim(p_name jsonb, p_claim uuid, p_lease_seconds integer, p_keep_seconds integer, p_max integer,
  OUT answer text, OUT sealed bytea)
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_owner text := p_name->>'owner'; v_route text := p_name->>'route'; v_key text := p_name->>'key';
  v_row idempotent_reply;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM idempotent_reply r WHERE (r.owner, r.route, r.key) = (v_owner, v_route, v_key))
    AND (SELECT count(*) FROM (SELECT 1 FROM idempotent_reply r WHERE r.owner = v_owner AND r.expires_at > v_now
      LIMIT p_max) kept) >= p_max
  THEN answer := 'full'; RETURN; END IF;
  INSERT INTO idempotent_reply AS r (owner, route, key, body_hash, claim, claimed_until, expires_at)
    VALUES (v_owner, v_route, v_key, p_name->>'bodyHash', p_claim, v_now + make_interval(secs => p_lease_seconds),
      v_now + make_interval(secs => p_keep_seconds))
    ON CONFLICT (owner, route, key) DO UPDATE SET body_hash = EXCLUDED.body_hash, claim = EXCLUDED.claim,
      claimed_until = EXCLUDED.claimed_until, sealed = NULL, expires_at = EXCLUDED.expires_at
    WHERE r.expires_at <= v_now
      OR (r.sealed IS NULL AND r.claimed_until <= v_now AND r.body_hash = EXCLUDED.body_hash);
  IF FOUND THEN answer := 'run'; RETURN; END IF;
  SELECT * INTO v_row FROM idempotent_reply r WHERE (r.owner, r.route, r.key) = (v_owner, v_route, v_key);
  IF FOUND AND v_row.body_hash <> p_name->>'bodyHash' THEN answer := 'reused';
  ELSIF v_row.sealed IS NULL THEN answer := 'busy';
  ELSE answer := 'stored'; sealed := v_row.sealed;
  END IF;
END $$;
