-- Wallets, challenges, keys, tokens and the verified session tree.
-- The application connects as gatehouse_app: it may not rewrite history, whatever its code does.
DO $$ BEGIN
  CREATE ROLE gatehouse_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
  EXECUTE format('GRANT gatehouse_app TO %I', current_user);
  EXECUTE format('GRANT USAGE ON SCHEMA public TO gatehouse_app');
END $$;

CREATE TABLE wallet (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
  address text NOT NULL UNIQUE CHECK (address ~ '^0x[0-9a-f]{40}$'),
  faucet_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A rendered login message, single use. The server signs nothing it did not store.
CREATE TABLE challenge (
  nonce text PRIMARY KEY,
  address text,
  message text NOT NULL,
  -- Digest of the cookie of the browser that asked; only that browser may answer.
  binding text,
  tries integer NOT NULL DEFAULT 0,
  consumed_at timestamptz,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX challenge_expiry ON challenge (expires_at);

-- Things that may be used once: sign-in links, later jti and request nonces. `id` is a digest, never the value itself.
CREATE TABLE one_time (
  kind text NOT NULL,
  id text NOT NULL,
  payload jsonb NOT NULL DEFAULT '{}',
  consumed_at timestamptz,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE INDEX one_time_expiry ON one_time (expires_at);

-- Private parts are sealed by the installation's master key.
CREATE TABLE signing_key (
  kid text PRIMARY KEY,
  purpose text NOT NULL CHECK (purpose IN ('access-token', 'audit')),
  algorithm text NOT NULL,
  public_jwk jsonb NOT NULL,
  sealed bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'retired')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX one_active_key ON signing_key (purpose) WHERE state = 'active';

CREATE TABLE session_node (
  id text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('usid', 'wsid', 'asid', 'msid')),
  parent_id text REFERENCES session_node(id),
  tenant text NOT NULL,
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  subject text NOT NULL,
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'step_up', 'suspended', 'ended', 'killed')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz,
  CHECK ((kind = 'usid') = (parent_id IS NULL))
);
CREATE INDEX session_node_parent ON session_node (parent_id);
CREATE INDEX session_node_wallet ON session_node (wallet_id, kind);

CREATE TABLE access_token (
  jti text PRIMARY KEY,
  sid text NOT NULL REFERENCES session_node(id),
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  issued_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX access_token_expiry ON access_token (expires_at);

-- Token buckets of the rate limits. Unlogged: after a database crash everybody has a full bucket.
CREATE UNLOGGED TABLE rate_bucket (
  key text PRIMARY KEY,
  tokens double precision NOT NULL,
  at timestamptz NOT NULL
);

-- Takes one token. Answers 0, or the milliseconds until one is there; a refusal takes nothing.
CREATE FUNCTION rate_take(p_key text, p_per_second double precision, p_burst double precision)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE v_now timestamptz; v_bucket rate_bucket; v_tokens double precision;
BEGIN
  INSERT INTO rate_bucket (key, tokens, at) VALUES (p_key, p_burst, clock_timestamp()) ON CONFLICT DO NOTHING;
  SELECT * INTO v_bucket FROM rate_bucket WHERE key = p_key FOR UPDATE;
  v_now := clock_timestamp();
  v_tokens := least(p_burst, v_bucket.tokens + greatest(0, extract(epoch FROM v_now - v_bucket.at)) * p_per_second);
  IF v_tokens >= 1 THEN
    UPDATE rate_bucket SET tokens = v_tokens - 1, at = v_now WHERE key = p_key;
    RETURN 0;
  END IF;
  RETURN greatest(1, ceil((1 - v_tokens) / p_per_second * 1000))::integer;
END $$;
