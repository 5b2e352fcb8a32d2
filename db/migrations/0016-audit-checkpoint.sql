-- Signed checkpoints of the audit chains. `root` is the SHA-256 of the record `seq`, signature included; as every record
-- names the one before, it stands for all records up to it. `body` is the signed canonical JSON. Append-only.
CREATE TABLE audit_checkpoint (
  tenant text NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  root text NOT NULL,
  at timestamptz NOT NULL,
  kid text NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (tenant, seq)
);
CREATE TRIGGER audit_checkpoint_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
GRANT SELECT, INSERT ON audit_checkpoint TO gatehouse_app;

-- Up to where a chain is checkpointed, and since when records lie beyond that; null when none does.
ALTER TABLE audit_head ADD COLUMN checkpoint_seq bigint NOT NULL DEFAULT 0, ADD COLUMN uncovered_since timestamptz;
UPDATE audit_head SET uncovered_since = clock_timestamp() WHERE seq > 0;
CREATE INDEX audit_head_uncovered ON audit_head (uncovered_since) WHERE uncovered_since IS NOT NULL;
