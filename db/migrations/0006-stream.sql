-- The token bus: chunks of streams in order. Readers are told by a notification outside the writing transaction and
-- poll besides.
CREATE TABLE stream (
  id text PRIMARY KEY,
  next_seq bigint NOT NULL DEFAULT 1,
  fence bigint NOT NULL DEFAULT 0,
  closed_at timestamptz
);
CREATE INDEX stream_closed ON stream (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE stream_chunk (
  stream_id text NOT NULL REFERENCES stream(id) ON DELETE CASCADE,
  seq bigint NOT NULL,
  kind text NOT NULL,
  body jsonb NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (stream_id, seq)
);

-- Appends events of many streams in one call, in the given order per stream. A fence below the stream's is refused: it
-- comes from an attempt that has been replaced. Fence null: unfenced. Answers one row per stream with its last seq, or
-- null when nothing of it was taken.
CREATE FUNCTION stream_append(p_ids text[], p_fences bigint[], p_kinds text[], p_bodies jsonb[])
RETURNS TABLE (stream_id text, last_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO stream (id) SELECT DISTINCT i FROM unnest(p_ids) i ORDER BY 1 ON CONFLICT DO NOTHING;
  PERFORM 1 FROM stream s WHERE s.id = ANY (p_ids) ORDER BY s.id FOR NO KEY UPDATE;
  RETURN QUERY
  WITH given AS (
    SELECT g.id, g.fence, g.kind, g.body, g.n FROM unnest(p_ids, p_fences, p_kinds, p_bodies) WITH ORDINALITY AS g(id, fence, kind, body, n)
  ), taken AS (
    SELECT g.*, row_number() OVER (PARTITION BY g.id ORDER BY g.n) AS k
      FROM given g JOIN stream s ON s.id = g.id
      WHERE s.closed_at IS NULL AND (g.fence IS NULL OR g.fence >= s.fence)
  ), moved AS (
    UPDATE stream s SET next_seq = s.next_seq + t.many, fence = greatest(s.fence, t.fence)
      FROM (SELECT id, count(*) AS many, max(coalesce(fence, 0)) AS fence FROM taken GROUP BY id) t
      WHERE s.id = t.id RETURNING s.id, s.next_seq - t.many AS first_seq, s.next_seq - 1 AS last_seq
  ), added AS (
    INSERT INTO stream_chunk (stream_id, seq, kind, body)
      SELECT t.id, m.first_seq + t.k - 1, t.kind, t.body FROM taken t JOIN moved m ON m.id = t.id
  )
  SELECT i.id, m.last_seq FROM (SELECT DISTINCT given.id FROM given) i LEFT JOIN moved m ON m.id = i.id;
END $$;
