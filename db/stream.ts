// Rows of the token bus: streams, their chunks, and what is kept of them. Each function is one statement over many
// streams, because hundreds of turns share a few connections.
import type { Queryable } from './pool.ts'

export type NewChunk = {
  readonly streamId: string
  readonly kind: string
  readonly body: unknown
  readonly fence: bigint | null
}

export type ReadOrder = { readonly streamId: string; readonly afterSeq: bigint; readonly limit: number }

export type StoredChunk = { readonly seq: bigint; readonly kind: string; readonly body: unknown; readonly at: Date }

const readBytesMax = 2_000_000 // one read of one stream stops growing here; at least one chunk is always answered
const sweepRowsMax = 200

/** Appends chunks in the given order per stream. Answers the last seq of each stream that took them. */
export async function appendChunks(pool: Queryable, chunks: readonly NewChunk[]): Promise<Map<string, bigint>> {
  const { rows } = await pool.query<{ stream_id: string; last_seq: bigint | null }>({
    name: 'stream-append',
    text: 'SELECT stream_id, last_seq FROM stream_append($1::text[], $2::bigint[], $3::text[], $4::jsonb[])',
    values: [
      chunks.map((chunk) => chunk.streamId),
      chunks.map((chunk) => chunk.fence),
      chunks.map((chunk) => chunk.kind),
      chunks.map((chunk) => storableJson(chunk.body)),
    ],
  })
  return new Map(rows.flatMap((row) => (row.last_seq === null ? [] : [[row.stream_id, row.last_seq] as const])))
}

/** JSON that jsonb accepts: NUL and lone surrogates, which a cut stream may hold, become the replacement character. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null'
  return text.replace(/\\\\|\\u(?:0000|d[89a-f][0-9a-f]{2})/g, (escape) => (escape === '\\\\' ? escape : '\\ufffd'))
}

/** Reads several streams at once; answers one list per order, in the same order. */
export async function readChunks(pool: Queryable, orders: readonly ReadOrder[]): Promise<StoredChunk[][]> {
  const { rows } = await pool.query<StoredChunk & { n: bigint }>({
    name: 'stream-read',
    text: `SELECT q.n, c.seq, c.kind, c.body, c.at
      FROM unnest($1::text[], $2::bigint[], $3::integer[]) WITH ORDINALITY AS q(id, after, most, n)
      CROSS JOIN LATERAL (
        SELECT s.seq, s.kind, s.body, s.at, sum(pg_column_size(s.body)) OVER (ORDER BY s.seq) - pg_column_size(s.body) AS before
          FROM (SELECT * FROM stream_chunk WHERE stream_id = q.id AND seq > q.after ORDER BY seq LIMIT q.most) s
      ) c WHERE c.before < $4 ORDER BY q.n, c.seq`,
    values: [
      orders.map((order) => order.streamId),
      orders.map((order) => order.afterSeq),
      orders.map((order) => order.limit),
      readBytesMax,
    ],
  })
  const answers: StoredChunk[][] = orders.map(() => [])
  for (const { n, seq, kind, body, at } of rows) answers[Number(n) - 1]?.push({ seq, kind, body, at })
  return answers
}

/** Last seq of each stream that exists. */
export async function streamHeads(pool: Queryable, streamIds: readonly string[]): Promise<Map<string, bigint>> {
  const { rows } = await pool.query<{ id: string; last_seq: bigint }>({
    name: 'stream-heads',
    text: 'SELECT id, next_seq - 1 AS last_seq FROM stream WHERE id = ANY($1::text[])',
    values: [streamIds],
  })
  return new Map(rows.map((row) => [row.id, row.last_seq]))
}

/**
 * Takes no more chunks, and starts the time until the stream is dropped. With a fence a stream that has gone on to a
 * higher one stays open.
 */
export async function closeStream(pool: Queryable, streamId: string, fence: bigint | null = null): Promise<void> {
  await pool.query(
    `UPDATE stream SET closed_at = clock_timestamp()
     WHERE id = $1 AND closed_at IS NULL AND ($2::bigint IS NULL OR fence <= $2)`,
    [streamId, fence],
  )
}

/**
 * Opens a stream again for the next try of its turn: what the failed one said is dropped, numbers go on, and what it
 * still says below the fence is refused.
 */
export async function reopenStream(client: Queryable, streamId: string, fence: bigint): Promise<void> {
  await client.query(
    `INSERT INTO stream AS s (id, fence) VALUES ($1, $2)
     ON CONFLICT (id) DO UPDATE SET closed_at = NULL, fence = greatest(s.fence, $2)`,
    [streamId, fence],
  )
  await client.query('DELETE FROM stream_chunk WHERE stream_id = $1', [streamId])
}

/** Drops streams that were closed so long ago; several processes may do so at once. Answers how many went. */
export async function dropClosedStreams(pool: Queryable, olderMs: number): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM stream WHERE id IN (
       SELECT id FROM stream WHERE closed_at < clock_timestamp() - make_interval(secs => $1::double precision / 1000) ORDER BY closed_at LIMIT ${sweepRowsMax} FOR UPDATE SKIP LOCKED)`,
    [olderMs],
  )
  return rowCount ?? 0
}
