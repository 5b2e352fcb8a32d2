-- Reading and handing out the chain. What records are asked for by is read from the record itself when it is inserted;
-- `ordinal` is the order over all tenants, `sealed_at` the moment that decides into which day's file a record goes.
ALTER TABLE audit_record
  ADD COLUMN ordinal bigint GENERATED ALWAYS AS IDENTITY,
  ADD COLUMN sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ADD COLUMN agent text,
  ADD COLUMN server text,
  ADD COLUMN tool text;

-- The outermost agent of the actor chain; a person who speaks to an agent names it as the resource.
CREATE FUNCTION audit_agent(p_body jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_path_query_first(p_body, '$.act[*] ? (@.kind == "agent").id') #>> '{}',
    CASE WHEN p_body->>'node_type' = 'agent' THEN p_body->>'resource' END)
$$;

CREATE FUNCTION audit_record_facts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v_body jsonb := NEW.body::jsonb;
BEGIN
  NEW.agent := audit_agent(v_body);
  NEW.server := v_body->>'server';
  NEW.tool := v_body->>'tool';
  RETURN NEW;
END $$;

-- Records of before: their facts are read once, with the guard of history set aside for this transaction alone. A body
-- that was tampered with into no JSON keeps none, and stays for the verifier to name.
ALTER TABLE audit_record DISABLE TRIGGER audit_append_only;
DO $$
DECLARE v_row record; v_body jsonb;
BEGIN
  FOR v_row IN SELECT tenant, seq, body FROM audit_record LOOP
    BEGIN
      v_body := v_row.body::jsonb;
    EXCEPTION WHEN data_exception OR syntax_error THEN CONTINUE;
    END;
    UPDATE audit_record SET agent = audit_agent(v_body), server = v_body->>'server', tool = v_body->>'tool'
      WHERE tenant = v_row.tenant AND seq = v_row.seq;
  END LOOP;
END $$;
ALTER TABLE audit_record ENABLE TRIGGER audit_append_only;

CREATE TRIGGER audit_record_facts BEFORE INSERT ON audit_record
  FOR EACH ROW EXECUTE FUNCTION audit_record_facts();
CREATE INDEX audit_record_order ON audit_record (ordinal);
CREATE INDEX audit_record_tenant ON audit_record (tenant, ordinal);
CREATE INDEX audit_record_wallet ON audit_record (wallet_id, ordinal);
CREATE INDEX audit_record_agent ON audit_record (agent, ordinal) WHERE agent IS NOT NULL;
CREATE INDEX audit_record_tool ON audit_record (tool, ordinal) WHERE tool IS NOT NULL;
CREATE INDEX audit_record_decision ON audit_record (decision, ordinal) WHERE decision <> 'allow';
CREATE INDEX audit_record_at ON audit_record (tenant, at);
CREATE INDEX audit_record_sealed ON audit_record (tenant, sealed_at, seq);

-- How far a sink has the chain of each tenant. Whoever delivers holds a lease, so that no lock lasts over a request.
CREATE TABLE audit_delivery (
  sink text NOT NULL,
  tenant text NOT NULL,
  seq bigint NOT NULL DEFAULT 0,
  leased_until timestamptz,
  lease uuid,
  PRIMARY KEY (sink, tenant)
);
GRANT SELECT, INSERT, UPDATE ON audit_delivery TO gatehouse_app;

-- What went in and out of calls, where an installation keeps it: sealed, apart from the chain, and dropped when the
-- record's retention class is over. The record keeps the hashes.
CREATE TABLE audit_payload (
  id uuid PRIMARY KEY,
  tenant text NOT NULL,
  retention text NOT NULL CHECK (retention IN ('30d', '90d', '180d')),
  sealed bytea NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX audit_payload_expiry ON audit_payload (retention, at);
GRANT SELECT, INSERT, DELETE ON audit_payload TO gatehouse_app;
