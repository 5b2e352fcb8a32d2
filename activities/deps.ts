// What the activities of a turn are given.
import type { Durable } from '../clients/durable.ts'
import type { ModelUpstream } from '../clients/models.ts'
import type { ToolUpstreams } from '../clients/tools.ts'
import type { Agent } from '../config/agents.ts'
import type { PriceTable } from '../config/prices.ts'
import type { Pool } from '../db/pool.ts'
import type { Pipeline } from '../gateway/call.ts'
import type { Members, TokenBus } from '../gateway/ports.ts'
import type { ToolOffer } from '../gateway/tool-offer.ts'
import type { Transcripts } from '../gateway/transcripts.ts'
import type { Events } from '../telemetry/events.ts'
import type { Tracing } from '../telemetry/tracing.ts'

/** Named moments at which a suite ends the process; nothing happens at them in production. */
export type CrashPoint =
  | 'model-before-attempt'
  | 'model-mid-stream'
  | 'model-before-record'
  | 'model-after-record'
  | 'tool-before-record'
  | 'tool-after-record'
  | 'turn-before-finish'
  | 'turn-after-finish'

export type ActivityDeps = {
  readonly pool: Pool
  readonly pipeline: Pipeline
  readonly members: Members
  readonly transcripts: Pick<Transcripts, 'ofTurn'>
  readonly bus: TokenBus
  readonly model: ModelUpstream
  readonly tools: ToolUpstreams
  readonly offer: ToolOffer
  readonly agents: ReadonlyMap<string, Agent>
  readonly prices: PriceTable
  readonly events: Events
  readonly carriesTurn: Durable['carriesTurn']
  readonly tracing: Pick<Tracing, 'span' | 'headers'>
  readonly crashPoint: (name: CrashPoint) => void
  /** Day of today, for the price rows that hold, ISO. */
  readonly today: () => string
}
