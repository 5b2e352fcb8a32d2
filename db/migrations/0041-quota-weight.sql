-- A call may take less than a unit; only one that takes nothing asks whether a whole one would pass.
-- p_takes: [{key, meter, limit, burst, amount}]. Answers {ok, at, readings: [{remaining, resetAt}]} or {ok: false, refused,
-- waitMs, reading}. p_now: for tests; null for the clock of this database, which all replicas share.
CREATE OR REPLACE FUNCTION quota_take(p_takes jsonb, p_now bigint DEFAULT NULL) RETURNS jsonb
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
    v_over := v_used + least(CASE WHEN v_asked > 0 THEN v_asked ELSE 60000000 END, v_capacity) - v_capacity;
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
