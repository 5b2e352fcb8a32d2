-- A wallet's epoch grows by an unguessable step. Wallet tokens sign the epoch they were made under; a token that somebody
-- had signed ahead for the epoch after the next revocation would outlive it. Other scopes are never signed by clients.
CREATE OR REPLACE FUNCTION revoke_scopes(p_scopes text[], p_reason text, p_by text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_scope text; v_seq bigint; v_epoch bigint; v_step bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended(s, 0) AS key FROM unnest(p_scopes) s ORDER BY 1) sorted;
  v_seq := nextval('effect_seq');
  FOREACH v_scope IN ARRAY p_scopes LOOP
    -- 1 to 2^28 from the 28 leading random bits of a version 4 UUID: 2^25 revocations fit into an exact JSON number.
    v_step := CASE WHEN v_scope LIKE 'wallet:%'
      THEN 1 + ('x' || left(gen_random_uuid()::text, 7))::bit(28)::bigint ELSE 1 END;
    INSERT INTO revocation_epoch AS r (scope, epoch, seq, reason, revoked_by)
    VALUES (v_scope, v_step, v_seq, p_reason, p_by)
    ON CONFLICT (scope) DO UPDATE SET epoch = r.epoch + v_step, seq = v_seq, reason = p_reason, revoked_by = p_by,
      at = clock_timestamp()
    RETURNING epoch INTO v_epoch;
    PERFORM pg_notify('revocation', json_build_object('scope', v_scope, 'epoch', v_epoch, 'seq', v_seq)::text);
  END LOOP;
  RETURN v_seq;
END $$;
