// A viewer's stream has one end: nothing follows the last event, whatever stands behind it.
import { expect, test } from 'vitest'
import type { StreamChunk } from '../../gateway/ports.ts'
import { viewTurn, type ViewEvent } from '../../gateway/turn-view.ts'

const chunk = (seq: number, kind: string): StreamChunk => ({ seq: BigInt(seq), kind, body: kind, at: new Date(0) })

const vault = { openMessage: (row: { content: unknown }) => row.content }
const transcripts = { ofSession: async () => vault as never }

async function seenOf(chunks: readonly StreamChunk[], after = 0n): Promise<ViewEvent[]> {
  const bus = {
    read: async (_id: string, from: bigint, limit: number) => chunks.filter(({ seq }) => seq > from).slice(0, limit),
    subscribe: () => () => undefined,
  }
  const seen: ViewEvent[] = []
  const order = { sessionId: 's', turnId: 't', after, signal: AbortSignal.timeout(5_000) }
  // No row is asked for while the stream itself says how it ends.
  for await (const events of viewTurn({ pool: {} as never, bus, transcripts }, order)) seen.push(...events)
  return seen
}

test.each(['turn_completed', 'turn_failed'])('words that were stored behind %s are not sent', async (end) => {
  const seen = await seenOf([chunk(1, 'delta'), chunk(2, end), chunk(3, 'delta'), chunk(4, end)])
  expect(seen.map(({ id, isLast }) => [id, isLast])).toEqual([
    [1n, false],
    [2n, true],
  ])
})

test('a batch that is full ends no stream, the last event in the next one does', async () => {
  const many = Array.from({ length: 1_200 }, (_each, index) => chunk(index + 1, 'delta'))
  const seen = await seenOf([...many, chunk(1_201, 'turn_completed')])
  expect([seen.length, seen.at(-1)?.isLast]).toEqual([1_201, true])
})

test('a viewer whose stream is gone forgets what it saw and sees the whole turn, with numbers that go on', async () => {
  const text = (content: object[]) => ({ kind: 'assistant', content })
  const rows = [text([{ type: 'text', text: 'the whole answer' }])]
  const turn = { state: 'ended', reason: 'completed', outcome: { status: 'done', cost: '$0.01' } }
  const pool = {
    query: async (sql: unknown) => ({ rows: JSON.stringify(sql).includes('FROM message') ? rows : [turn] }),
  }
  const bus = { read: async () => [], subscribe: () => () => undefined }
  const seen: ViewEvent[] = []
  const order = { sessionId: 's', turnId: 't', after: 7n, signal: AbortSignal.timeout(5_000) }
  for await (const events of viewTurn({ pool: pool as never, bus, transcripts }, order)) seen.push(...events)
  expect(seen).toEqual([
    { id: 8n, type: 'status', data: { code: 'attempt_restarted', discardFromSeq: 1 }, isLast: false },
    { id: 9n, type: 'text', data: 'the whole answer', isLast: false },
    { id: 10n, type: 'done', data: { cost: '$0.01' }, isLast: true },
  ])
})
