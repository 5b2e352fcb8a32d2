// What a viewer of a turn sees: its stream from any place, live until the last event. Truth is in the rows: where the
// stream was dropped, or ended without a word, the view is made from them.
import { readTurnMessages } from '../db/chat-transcript.ts'
import type { Pool } from '../db/pool.ts'
import { readSessionTurn } from '../db/turn.ts'
import { streamReadChunksMax } from '../domain/limits.ts'
import { splitToolName } from '../domain/tool.ts'
import { Blocks, type Block } from '../schemas/model.ts'
import type { StreamChunk, TokenBus } from './ports.ts'
import type { Transcripts } from './transcripts.ts'

export type ViewEvent = { readonly id: bigint; readonly type: string; readonly data: unknown; readonly isLast: boolean }

export type TurnViewDeps = {
  readonly pool: Pool
  readonly bus: Pick<TokenBus, 'read' | 'subscribe'>
  readonly transcripts: Pick<Transcripts, 'ofSession'>
  /** How often a silent turn's row is looked at. */
  readonly lookMs?: number
}

export type TurnViewOrder = {
  readonly sessionId: string
  readonly turnId: string
  readonly after: bigint
  /** Aborts when the viewer leaves. */
  readonly signal: AbortSignal
}

const lookMsDefault = 5_000
/** Tries that ended without ever running say nothing on their stream. */
const silentReasons = new Set(['unaccepted', 'refused', 'swept'])

const wireTypes: Readonly<Record<string, string>> = {
  delta: 'text',
  attempt_started: 'status',
  turn_completed: 'done',
  turn_failed: 'error',
}

/** Events after `after` in batches, until the last one or until the viewer leaves. */
export async function* viewTurn(deps: TurnViewDeps, order: TurnViewOrder): AsyncGenerator<readonly ViewEvent[]> {
  const bell = createBell(order.signal)
  const leave = deps.bus.subscribe(`turn:${order.turnId}`, bell.ring)
  try {
    let after = order.after
    while (!order.signal.aborted) {
      const chunks = await deps.bus.read(`turn:${order.turnId}`, after, streamReadChunksMax)
      const events = upToLast(chunks.map(eventOf))
      if (events.length > 0) yield events
      after = chunks.at(-1)?.seq ?? after
      if (events.some((event) => event.isLast)) return
      if (chunks.length > 0) continue
      const rest = await restFromRows(deps, { ...order, after })
      if (rest) return yield rest
      await bell.wait(deps.lookMs ?? lookMsDefault)
    }
  } finally {
    leave()
  }
}

/** A stored chunk as the wire names it; its body is the data already. */
export function eventOf({ seq, kind, body }: StreamChunk): ViewEvent {
  const type = wireTypes[kind] ?? kind
  return { id: seq, type, data: body, isLast: type === 'done' || type === 'error' }
}

// An attempt that was given up may still have said something between the last event and the closing of the stream.
function upToLast(events: readonly ViewEvent[]): readonly ViewEvent[] {
  const end = events.findIndex(({ isLast }) => isLast)
  return end < 0 ? events : events.slice(0, end + 1)
}

// The end of a turn whose stream does not have it: the whole of it for who saw nothing, else the last event. Where the
// stream is gone nobody knows what a number stood for: the viewer is told to forget what it saw, and sees the whole.
async function restFromRows(
  { pool, bus, transcripts }: TurnViewDeps,
  { sessionId, turnId, after }: Omit<TurnViewOrder, 'signal'>,
): Promise<readonly ViewEvent[] | undefined> {
  const turn = await readSessionTurn(pool, { sessionId, turnId })
  if (!turn) return [lastEvent(after + 1n, { status: 'error', code: 'not-found', message: 'There is no such turn.' })]
  if (turn.state !== 'ended') return undefined
  if ((await bus.read(`turn:${turnId}`, after, 1)).length > 0) return undefined // said meanwhile
  if (turn.reason !== null && silentReasons.has(turn.reason)) {
    return [
      lastEvent(after + 1n, {
        status: 'error',
        code: 'turn-not-accepted',
        message: 'Nobody took the turn; nothing was charged.',
      }),
    ]
  }
  if (!turn.outcome) return undefined
  const isGone = after > 0n && (await bus.read(`turn:${turnId}`, 0n, 1)).length === 0
  const said = isGone || after === 0n ? await saidEvents({ pool, transcripts }, { sessionId, turnId }) : []
  const all = isGone ? [discard, ...said] : said
  return [
    ...all.map((event, index) => ({ ...event, id: after + BigInt(index + 1), isLast: false })),
    lastEvent(after + BigInt(all.length) + 1n, turn.outcome),
  ]
}

function lastEvent(id: bigint, { status, ...data }: Readonly<Record<string, unknown>>): ViewEvent {
  return { id, type: status === 'done' ? 'done' : 'error', data, isLast: true }
}

type Said = { readonly type: string; readonly data: unknown }

const discard: Said = { type: 'status', data: { code: 'attempt_restarted', discardFromSeq: 1 } }

async function saidEvents(
  { pool, transcripts }: Pick<TurnViewDeps, 'pool' | 'transcripts'>,
  { sessionId, turnId }: Pick<TurnViewOrder, 'sessionId' | 'turnId'>,
): Promise<Said[]> {
  const rows = await readTurnMessages(pool, turnId)
  if (rows.length === 0) return []
  const vault = await transcripts.ofSession(sessionId)
  return messageEvents(rows.map((row) => ({ kind: row.kind, content: vault.openMessage(row) })))
}

function messageEvents(rows: readonly { readonly kind: string; readonly content: unknown }[]): Said[] {
  const blocks = rows.flatMap(({ kind, content }) => (kind === 'user' ? [] : Blocks.parse(content)))
  const names = new Map(blocks.flatMap((block) => (block.type === 'tool_use' ? [[block.id, block.name] as const] : [])))
  return blocks.flatMap((block) => blockEvents(block, names))
}

function blockEvents(block: Block, names: ReadonlyMap<string, string>): Said[] {
  if (block.type === 'text') return [{ type: 'text', data: block.text }]
  if (block.type === 'tool_use') {
    const displayName = splitToolName(block.name)?.tool ?? block.name
    return [{ type: 'tool_call', data: { id: block.id, name: block.name, displayName, args: block.input } }]
  }
  if (block.type !== 'tool_result') return []
  const { toolUseId: id, isError, content: result, wholeBytes } = block
  const more = wholeBytes === undefined ? {} : { wholeBytes }
  return [{ type: 'tool_result', data: { id, name: names.get(id) ?? '', isError, result, ...more } }]
}

// Rung by the bus; a ring while nobody waits is remembered.
function createBell(signal: AbortSignal) {
  let rung = false
  let answer: (() => void) | undefined
  const ring = () => {
    rung = true
    answer?.()
  }
  return {
    ring,
    async wait(ms: number): Promise<void> {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms)
          answer = () => {
            clearTimeout(timer)
            resolve()
          }
          signal.addEventListener('abort', ring, { once: true })
        })
        signal.removeEventListener('abort', ring)
      }
      rung = false
      answer = undefined
    },
  }
}
