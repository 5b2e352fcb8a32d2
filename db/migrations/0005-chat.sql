-- Sessions, turns and transcripts. Truth of a turn is its rows here; a workflow holds ids only.
CREATE TABLE chat_session (
  id uuid PRIMARY KEY,
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  tenant text NOT NULL,
  agent_id text NOT NULL,
  model text NOT NULL,
  engine text NOT NULL,
  wsid text NOT NULL REFERENCES session_node(id),
  asid text NOT NULL REFERENCES session_node(id),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'deleted')),
  message_count integer NOT NULL DEFAULT 0,
  preview text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_active_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_message_at timestamptz
);
CREATE INDEX chat_session_wallet ON chat_session (wallet_id, last_active_at DESC) WHERE state = 'open';

CREATE TABLE turn (
  id uuid PRIMARY KEY,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  session_id uuid NOT NULL REFERENCES chat_session(id),
  wallet_id bigint NOT NULL REFERENCES wallet(id),
  model text NOT NULL,
  -- Who asked, as admitted at the door: token id, revocation scopes with epochs, session ids. Never a credential.
  admission jsonb NOT NULL,
  try integer NOT NULL DEFAULT 1,
  model_output boolean NOT NULL DEFAULT false,
  cost_picos numeric(30) NOT NULL DEFAULT 0,
  posted_micros bigint NOT NULL DEFAULT 0,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  tool_calls integer NOT NULL DEFAULT 0,
  outcome jsonb,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz,
  done_delivered_at timestamptz
);
CREATE INDEX turn_session ON turn (session_id, ordinal);

-- submitted -> queued -> running -> ended, by compare-and-set.
CREATE TABLE turn_try (
  turn_id uuid NOT NULL REFERENCES turn(id),
  try integer NOT NULL,
  state text NOT NULL DEFAULT 'submitted' CHECK (state IN ('submitted', 'queued', 'running', 'ended')),
  reason text,
  hold_id uuid NOT NULL,
  submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz,
  PRIMARY KEY (turn_id, try)
);
CREATE INDEX turn_try_open ON turn_try (submitted_at) WHERE state <> 'ended';

-- A content hash or an Idempotency-Key is a look-up key of the session, never an update id.
CREATE TABLE turn_key (
  session_id uuid NOT NULL REFERENCES chat_session(id),
  key text NOT NULL,
  explicit boolean NOT NULL,
  turn_id uuid REFERENCES turn(id),
  body_hash text NOT NULL,
  touched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (session_id, key)
);

-- The transcript: one row per message; `content` holds the blocks of the model dialect.
CREATE TABLE message (
  id uuid PRIMARY KEY,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  session_id uuid NOT NULL REFERENCES chat_session(id),
  turn_id uuid NOT NULL REFERENCES turn(id),
  kind text NOT NULL CHECK (kind IN ('user', 'assistant', 'tool')),
  step integer NOT NULL,
  -- Position of a tool result within its step; 0 otherwise.
  position integer NOT NULL DEFAULT 0,
  content jsonb NOT NULL,
  stop_reason text,
  usage jsonb,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (turn_id, kind, step, position)
);
CREATE INDEX message_session ON message (session_id, ordinal);

-- The first activity of a try: queued or submitted becomes running; a later attempt of the same try finds it running.
CREATE FUNCTION turn_try_run(p_turn uuid, p_try integer) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  UPDATE turn_try SET state = 'running' WHERE turn_id = p_turn AND try = p_try AND state <> 'ended';
  RETURN FOUND;
END $$;

-- Ends a try once, from one of the given states, and voids its first hold in the same call. Answers whether it moved.
CREATE FUNCTION turn_try_end(p_turn uuid, p_try integer, p_from text[], p_reason text, p_void uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE v_hold uuid;
BEGIN
  UPDATE turn_try SET state = 'ended', reason = p_reason, ended_at = clock_timestamp()
    WHERE turn_id = p_turn AND try = p_try AND state = ANY (p_from) RETURNING hold_id INTO v_hold;
  IF NOT FOUND THEN RETURN false; END IF;
  IF p_void IS NOT NULL THEN PERFORM ledger_void(p_void, v_hold, 12::smallint, jsonb_build_object('reason', p_reason)); END IF;
  RETURN true;
END $$;

-- The door's one call: gate, queue length, hold of the first model step, turn (or its next try), user message, key.
-- p_turn: {id, try, key, bodyHash, sessionId, walletId, model, admission, message, preview}. Answers {answer, scope?}:
-- ok, revoked, queue_full, session_gone, insufficient, or a ledger fault. Anything but ok writes nothing.
CREATE FUNCTION turn_begin(p_turn jsonb, p_scopes text[], p_epochs bigint[], p_hold jsonb, p_queue_max integer)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public AS $$
DECLARE v_scope text; v_held text; v_turn uuid := (p_turn->>'id')::uuid; v_try integer := (p_turn->>'try')::integer;
  v_session uuid := (p_turn->>'sessionId')::uuid; v_open integer;
BEGIN
  v_scope := gate_pass(p_scopes, p_epochs);
  IF v_scope IS NOT NULL THEN RETURN jsonb_build_object('answer', 'revoked', 'scope', v_scope); END IF;
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
    INSERT INTO message (id, session_id, turn_id, kind, step, content)
      VALUES (gen_random_uuid(), v_session, v_turn, 'user', 0, p_turn->'message');
    UPDATE chat_session SET message_count = message_count + 1, last_active_at = clock_timestamp(),
      last_message_at = clock_timestamp(), preview = left(p_turn->>'preview', 120) WHERE id = v_session;
  ELSE
    UPDATE turn SET try = v_try, admission = p_turn->'admission', outcome = NULL, ended_at = NULL, done_delivered_at = NULL
      WHERE id = v_turn;
  END IF;
  INSERT INTO turn_try (turn_id, try, hold_id) VALUES (v_turn, v_try, (p_hold->>'id')::uuid);
  UPDATE turn_key SET turn_id = v_turn, body_hash = p_turn->>'bodyHash' WHERE session_id = v_session AND key = p_turn->>'key';
  RETURN jsonb_build_object('answer', 'ok');
END $$;
