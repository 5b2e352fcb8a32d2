// The token bus with the words of turns sealed: what lies in the database opens for nobody without the session's key.
// How a turn ended holds no content and stays clear, so that it is told even when the session was deleted.
import { GatewayError } from '../domain/errors.ts'
import type { StreamChunk, TokenBus } from './ports.ts'
import type { Transcripts, Vault } from './transcripts.ts'

const clearKinds: ReadonlySet<string> = new Set(['attempt_started', 'turn_completed', 'turn_failed'])
const turnOf = (streamId: string) => streamId.replace(/^turn:/, '')

/** Seals what is appended and opens what is read; everything else is the bus's own. */
export function sealBus(bus: TokenBus, transcripts: Pick<Transcripts, 'ofTurn'>): TokenBus {
  return {
    ...bus,
    async append(event) {
      if (clearKinds.has(event.kind)) return bus.append(event)
      const turnId = turnOf(event.streamId)
      const vault = await transcripts.ofTurn(turnId)
      return bus.append({ ...event, body: vault.sealChunk({ turnId, kind: event.kind }, event.body) })
    },
    async read(streamId, afterSeq, limit) {
      const chunks = await bus.read(streamId, afterSeq, limit)
      if (chunks.every(({ kind }) => clearKinds.has(kind))) return chunks
      const vault = await vaultOrNone(transcripts, turnOf(streamId))
      return vault ? chunks.map((chunk) => opened(vault, turnOf(streamId), chunk)) : []
    },
  }
}

function opened(vault: Vault, turnId: string, chunk: StreamChunk): StreamChunk {
  if (clearKinds.has(chunk.kind)) return chunk
  return { ...chunk, body: vault.openChunk({ turnId, kind: chunk.kind }, chunk.body) }
}

// The stream went with its session while it was being read.
async function vaultOrNone(transcripts: Pick<Transcripts, 'ofTurn'>, turnId: string): Promise<Vault | undefined> {
  try {
    return await transcripts.ofTurn(turnId)
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'turn-cancelled') return undefined
    throw error
  }
}
