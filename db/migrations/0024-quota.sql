-- Counters of rates and quotas, shared by all replicas. The arithmetic is that of domain/quota.ts, in integers: 60,000,000
-- parts of a unit. A take is all or nothing, under the locks of its rows in the order of their keys. What is counted here
-- may lose the last fraction of a second in a crash of the database: no call waits for a disk.
CREATE TABLE quota_counter (
  key text PRIMARY KEY,
  used bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
  at_ms bigint NOT NULL,
  -- When nothing of it counts any more.
  drained_ms bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX quota_counter_drained ON quota_counter (drained_ms);

CREATE FUNCTION quota_drain(p_meter text, p_limit numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_meter WHEN 'calls-per-day' THEN 0 WHEN 'calls-per-second' THEN round(p_limit * 60000) ELSE round(p_limit * 1000) END::bigint
$$;

CREATE FUNCTION quota_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- What is used at a moment, of what was used at an earlier one.
CREATE FUNCTION quota_used(p_used bigint, p_at bigint, p_now bigint, p_drain bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_drain > 0 THEN greatest(0, p_used - p_drain::numeric * (p_now - p_at))::bigint
    WHEN p_at / 86400000 = p_now / 86400000 THEN p_used ELSE 0 END
$$;

CREATE FUNCTION quota_drained(p_used bigint, p_at bigint, p_drain bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_drain > 0 THEN p_at + ceil(p_used::numeric / p_drain) ELSE (p_at / 86400000 + 1) * 86400000 END::bigint
$$;

-- Makes the rows of the keys and locks them in their order. Nobody waits for a row that it was late to make: whoever makes
-- rows has locked none yet.
CREATE FUNCTION quota_lock(p_keys text[], p_now bigint) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO quota_counter (key, at_ms, drained_ms) SELECT DISTINCT k, p_now, p_now FROM unnest(p_keys) k ORDER BY k
    ON CONFLICT (key) DO NOTHING;
  PERFORM 1 FROM quota_counter WHERE key = ANY (p_keys) ORDER BY key FOR NO KEY UPDATE;
END $$;

-- p_takes: [{key, meter, limit, burst, amount}]. Answers {ok, at, readings: [{remaining, resetAt}]} or {ok: false, refused,
-- waitMs, reading}. p_now: for tests; null for the clock of this database, which all replicas share.
CREATE FUNCTION quota_take(p_takes jsonb, p_now bigint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_now bigint; v_take record; v_row quota_counter; v_at bigint; v_used bigint; v_drain bigint; v_capacity bigint;
  v_asked bigint; v_over bigint; v_after bigint; v_reset bigint; v_readings jsonb := '[]'; v_reading jsonb;
BEGIN
  PERFORM quota_lock(ARRAY(SELECT t->>'key' FROM jsonb_array_elements(p_takes) t), coalesce(p_now, quota_now()));
  v_now := coalesce(p_now, quota_now());
  FOR v_take IN SELECT t.ordinality - 1 AS place, x.* FROM jsonb_array_elements(p_takes) WITH ORDINALITY t(value, ordinality)
      CROSS JOIN LATERAL jsonb_to_record(t.value) x(key text, meter text, "limit" numeric, burst numeric, amount numeric) ORDER BY t.ordinality LOOP
    SELECT * INTO v_row FROM quota_counter WHERE key = v_take.key;
    v_at := greatest(v_now, v_row.at_ms);
    v_drain := quota_drain(v_take.meter, v_take."limit");
    v_used := quota_used(v_row.used, v_row.at_ms, v_at, v_drain);
    v_capacity := round(v_take.burst * 60000000);
    v_asked := round(v_take.amount * 60000000);
    v_over := v_used + least(greatest(v_asked, 60000000), v_capacity) - v_capacity;
    v_after := CASE WHEN v_over > 0 THEN v_used ELSE v_used + v_asked END;
    v_reset := quota_drained(v_after, v_at, v_drain);
    v_reading := jsonb_build_object('remaining', greatest(0, v_capacity - v_after) / 60000000, 'resetAt', v_reset);
    IF v_over > 0 THEN
      -- What was counted for the takes before it is taken back with the block below.
      RAISE EXCEPTION USING ERRCODE = 'GHQ01', MESSAGE = jsonb_build_object('ok', false, 'refused', v_take.place, 'reading', v_reading,
        'waitMs', CASE WHEN v_drain = 0 THEN v_reset - v_at ELSE ceil(v_over::numeric / v_drain) END)::text;
    END IF;
    UPDATE quota_counter SET used = v_after, at_ms = v_at, drained_ms = v_reset WHERE key = v_take.key;
    v_readings := v_readings || v_reading;
  END LOOP;
  RETURN jsonb_build_object('ok', true, 'at', v_now, 'readings', v_readings);
EXCEPTION WHEN SQLSTATE 'GHQ01' THEN
  RETURN sqlerrm::jsonb;
END $$;

-- p_changes: as takes, with takenAt. Less than nothing is given back, without what has drained since it was taken.
CREATE FUNCTION quota_adjust(p_changes jsonb, p_now bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_now bigint; v_change record; v_row quota_counter; v_at bigint; v_used bigint; v_drain bigint; v_parts numeric;
BEGIN
  PERFORM quota_lock(ARRAY(SELECT t->>'key' FROM jsonb_array_elements(p_changes) t), coalesce(p_now, quota_now()));
  v_now := coalesce(p_now, quota_now());
  FOR v_change IN SELECT x.* FROM jsonb_array_elements(p_changes) WITH ORDINALITY t(value, ordinality)
      CROSS JOIN LATERAL jsonb_to_record(t.value) x(key text, meter text, "limit" numeric, amount numeric, "takenAt" bigint) ORDER BY t.ordinality LOOP
    SELECT * INTO v_row FROM quota_counter WHERE key = v_change.key;
    v_at := greatest(v_now, v_row.at_ms);
    v_drain := quota_drain(v_change.meter, v_change."limit");
    v_used := quota_used(v_row.used, v_row.at_ms, v_at, v_drain);
    v_parts := round(v_change.amount * 60000000);
    IF v_parts < 0 THEN
      v_parts := CASE WHEN v_drain = 0 AND v_change."takenAt" / 86400000 <> v_at / 86400000 THEN 0
        ELSE least(0, v_parts + v_drain::numeric * greatest(0, v_at - v_change."takenAt")) END;
    END IF;
    v_used := greatest(0, v_used + v_parts);
    UPDATE quota_counter SET used = v_used, at_ms = v_at, drained_ms = quota_drained(v_used, v_at, v_drain) WHERE key = v_change.key;
  END LOOP;
END $$;

-- Forgets counters of which nothing counts any more. Answers how many.
CREATE FUNCTION quota_purge(p_most integer, p_now bigint DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_gone integer;
BEGIN
  DELETE FROM quota_counter WHERE key IN (
    SELECT key FROM quota_counter WHERE drained_ms < coalesce(p_now, quota_now()) ORDER BY key LIMIT p_most FOR UPDATE SKIP LOCKED)
    AND drained_ms < coalesce(p_now, quota_now());
  GET DIAGNOSTICS v_gone = ROW_COUNT;
  RETURN v_gone;
END $$;

GRANT SELECT ON quota_counter TO gatehouse_app;
