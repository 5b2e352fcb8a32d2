-- The active policies. Every text that was ever active is a version of its id and is never rewritten. Which versions are
-- active is one set with one epoch: a change of the set and its notification are one transaction, under one lock.
CREATE TABLE policy_version (
  policy_id text NOT NULL,
  version integer NOT NULL CHECK (version > 0),
  source text NOT NULL CHECK (source IN ('file', 'api')),
  -- What it is called in faults and in the source of its rules; of a file, its path.
  name text NOT NULL,
  text text NOT NULL,
  sha256 text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (policy_id, version)
);
CREATE TRIGGER policy_version_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_version
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- What each epoch changed: from then on this version is active, or none of the id.
CREATE TABLE policy_change (
  epoch bigint NOT NULL,
  policy_id text NOT NULL,
  version integer,
  changed_by text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (epoch, policy_id),
  FOREIGN KEY (policy_id, version) REFERENCES policy_version
);
CREATE INDEX policy_change_id ON policy_change (policy_id, epoch);
CREATE TRIGGER policy_change_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_change
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

CREATE TABLE policy_active (
  policy_id text PRIMARY KEY,
  version integer NOT NULL,
  FOREIGN KEY (policy_id, version) REFERENCES policy_version
);

CREATE TABLE policy_head (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  epoch bigint NOT NULL
);
INSERT INTO policy_head (epoch) VALUES (0);
CREATE FUNCTION refuse_backward_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NEW.epoch <= OLD.epoch THEN
    RAISE EXCEPTION 'the epoch of the policies only grows' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER policy_head_forward BEFORE UPDATE OR DELETE ON policy_head
  FOR EACH ROW EXECUTE FUNCTION refuse_backward_epoch();

-- One change at a time, until the transaction ends.
CREATE FUNCTION policy_lock() RETURNS void LANGUAGE sql VOLATILE AS $$
  SELECT pg_advisory_xact_lock(hashtextextended('policy', 0))
$$;

-- Adds a text as the next version of its id; its author's number is taken where it is a later one. Not yet active.
CREATE FUNCTION policy_add(
  p_id text, p_source text, p_name text, p_text text, p_sha256 text, p_declared integer, p_by text
) RETURNS integer LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_version integer;
BEGIN
  PERFORM policy_lock();
  SELECT greatest(p_declared, coalesce(max(version), 0) + 1) INTO v_version FROM policy_version WHERE policy_id = p_id;
  INSERT INTO policy_version (policy_id, version, source, name, text, sha256, created_by)
    VALUES (p_id, v_version, p_source, p_name, p_text, p_sha256, p_by);
  RETURN v_version;
END $$;

-- Makes versions active, or retires an id where its version is null: one new epoch for all of them, told to everybody.
CREATE FUNCTION policy_activate(p_ids text[], p_versions integer[], p_by text)
RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_epoch bigint;
BEGIN
  PERFORM policy_lock();
  UPDATE policy_head SET epoch = epoch + 1 RETURNING epoch INTO v_epoch;
  INSERT INTO policy_change (epoch, policy_id, version, changed_by)
    SELECT v_epoch, c.id, c.version, p_by FROM unnest(p_ids, p_versions) AS c (id, version);
  DELETE FROM policy_active WHERE policy_id = ANY (p_ids);
  INSERT INTO policy_active (policy_id, version)
    SELECT c.id, c.version FROM unnest(p_ids, p_versions) AS c (id, version) WHERE c.version IS NOT NULL;
  PERFORM pg_notify('policy', v_epoch::text);
  RETURN v_epoch;
END $$;

GRANT SELECT ON policy_version, policy_change, policy_active, policy_head TO gatehouse_app;
