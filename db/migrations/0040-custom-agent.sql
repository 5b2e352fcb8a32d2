-- Agents that a wallet's owner has made: private to the wallet, every version kept while a turn may still run by it.
CREATE TABLE custom_agent (
  -- The id that the owner chose, '-', six hex digits.
  id text PRIMARY KEY,
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  base_id text NOT NULL,
  version integer NOT NULL,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted_at timestamptz
);
-- Made again after it was deleted, it is the same agent: bills and evidence name it already.
CREATE UNIQUE INDEX custom_agent_base ON custom_agent (wallet_id, base_id);
CREATE INDEX custom_agent_wallet ON custom_agent (wallet_id, ordinal) WHERE deleted_at IS NULL;

CREATE TABLE custom_agent_version (
  agent_id text NOT NULL REFERENCES custom_agent(id),
  version integer NOT NULL,
  definition jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (agent_id, version)
);

GRANT SELECT, INSERT, UPDATE ON custom_agent TO gatehouse_app;
GRANT SELECT, INSERT, DELETE ON custom_agent_version TO gatehouse_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO gatehouse_app;
