-- A turn begins with sealed words (0043) and locks as 0052 says: the function of 0052 had replaced that of 0043.
CREATE OR REPLACE FUNCTION turn_begin(p_turn jsonb, p_scopes text[], p_epochs bigint[], p_hold jsonb, p_queue_max integer)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE v_scope text; v_held text; v_turn uuid := (p_turn->>'id')::uuid; v_try integer := (p_turn->>'try')::integer;
  v_session uuid := (p_turn->>'sessionId')::uuid; v_open integer;
BEGIN
  v_scope := gate_pass(p_scopes, p_epochs);
  IF v_scope IS NOT NULL THEN RETURN jsonb_build_object('answer', 'revoked', 'scope', v_scope); END IF;
  IF v_try > 1 THEN PERFORM 1 FROM turn WHERE id = v_turn FOR NO KEY UPDATE; END IF;
  PERFORM 1 FROM chat_session WHERE id = v_session AND state = 'open' FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('answer', 'session_gone'); END IF;
  SELECT count(*) INTO v_open FROM turn t JOIN turn_try y ON y.turn_id = t.id
    WHERE t.session_id = v_session AND y.state <> 'ended';
  IF v_open > p_queue_max THEN RETURN jsonb_build_object('answer', 'queue_full'); END IF;
  v_held := ledger_hold((p_hold->>'id')::uuid, (p_turn->>'walletId')::bigint, (p_hold->>'revenue')::bigint,
    (p_hold->>'amount')::bigint, (p_hold->>'code')::smallint, p_hold->>'agentId', p_hold->>'workflowId', p_hold->'meta');
  IF v_held <> 'ok' THEN RETURN jsonb_build_object('answer', v_held); END IF;
  IF v_try = 1 THEN
    INSERT INTO turn (id, session_id, wallet_id, model, admission)
      VALUES (v_turn, v_session, (p_turn->>'walletId')::bigint, p_turn->>'model', p_turn->'admission');
    INSERT INTO message (id, session_id, turn_id, kind, step, content, content_bytes, images)
      VALUES (gen_random_uuid(), v_session, v_turn, 'user', 0, p_turn->'message', (p_turn->>'messageBytes')::integer,
        (p_turn->>'messageImages')::integer);
    UPDATE chat_session SET message_count = message_count + 1, last_active_at = clock_timestamp(),
      last_message_at = clock_timestamp(), preview = NULL,
      sealed_preview = decode(p_turn->>'preview', 'base64') WHERE id = v_session;
  ELSE
    UPDATE turn SET try = v_try, admission = p_turn->'admission', outcome = NULL, ended_at = NULL, done_delivered_at = NULL
      WHERE id = v_turn;
  END IF;
  INSERT INTO turn_try (turn_id, try, hold_id) VALUES (v_turn, v_try, (p_hold->>'id')::uuid);
  UPDATE turn_key SET turn_id = v_turn, body_hash = p_turn->>'bodyHash' WHERE session_id = v_session AND key = p_turn->>'key';
  RETURN jsonb_build_object('answer', 'ok');
END $$;

-- What was stored in between: a sealed preview where a clear one belongs.
UPDATE chat_session SET preview = NULL, sealed_preview = NULL
  WHERE preview IS NOT NULL AND EXISTS (SELECT 1 FROM session_key k WHERE k.session_id = chat_session.id);
-- A sealed message of unknown size counts as what it takes sealed, which is more.
UPDATE message SET content_bytes = octet_length(content->>'sealed'), images = 0
  WHERE content_bytes IS NULL AND jsonb_typeof(content) = 'object';
