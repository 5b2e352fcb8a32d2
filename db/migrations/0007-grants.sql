-- What the application role may do. History (transfer, audit_record) and balances are written by functions or inserts
-- only; nobody rewrites them.
GRANT SELECT, INSERT, UPDATE, DELETE ON
  challenge, one_time, signing_key, session_node, access_token, rate_bucket, audit_pending, audit_head,
  chat_session, turn, turn_try, turn_key, message, stream, stream_chunk TO gatehouse_app;
GRANT SELECT, INSERT, UPDATE ON revocation_epoch, attempt TO gatehouse_app;
GRANT SELECT ON wallet, account, transfer TO gatehouse_app;
GRANT SELECT, INSERT ON audit_record TO gatehouse_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO gatehouse_app;
REVOKE EXECUTE ON FUNCTION ledger_write(uuid, text, bigint, bigint, bigint, uuid, smallint, text, text, jsonb) FROM PUBLIC;
