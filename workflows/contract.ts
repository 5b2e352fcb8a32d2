// All that others may know of the workflows: queues, ids, messages, signatures as types. Payloads carry ids only.
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow'

export const queues = {
  durable: 'durable',
  llm: 'llm',
  tools: 'tools',
  ledger: 'ledger',
  control: 'control',
  batch: 'batch',
} as const

export const sessionWorkflowId = (sessionId: string): string => `session:${sessionId}`
export const turnWorkflowId = (turn: { sessionId: string; turnId: string; try: number }): string =>
  `turn:${turn.sessionId}:${turn.turnId}:${turn.try}`
/** Update id of a turn's try: Temporal dedupes it per run. */
export const turnUpdateId = (turn: { turnId: string; try: number }): string => `${turn.turnId}:${turn.try}`
/** Stream on which the events of a turn are published. */
export const turnStreamId = (turnId: string): string => `turn:${turnId}`

export type TurnRef = { readonly turnId: string; readonly try: number }

/** What a session needs to label itself; internal ids only, never an address. */
export type SessionLabels = {
  readonly sessionId: string
  readonly tenantId: string
  readonly walletId: string
  readonly agentId: string
  /** Model calls a turn of this agent may make. */
  readonly stepsMax: number
  readonly revocationScopes: readonly string[]
}

export type SessionState = {
  readonly labels: SessionLabels
  readonly queue: readonly TurnRef[]
  /** Update ids accepted lately, kept over continue-as-new. */
  readonly remembered: readonly string[]
  readonly turns: number
  readonly rollOverTurns: number
  /** Without a turn for so long its run completes, and the next turn starts a new one; absent in runs of older versions. */
  readonly idleMs?: number
}

export type TurnInput = TurnRef & { readonly labels: SessionLabels; readonly stepsMax: number }

export const submitTurn = defineUpdate<{ position: number }, [TurnRef]>('submitTurn')
/** The scope of the session was revoked: cancel the running turn and close. */
export const revoked = defineSignal<[{ epoch: number }]>('revoked')
export const cancelTurn = defineSignal<[{ turnId: string }]>('cancelTurn')
export const closeSession = defineSignal<[]>('closeSession')
export const sessionView = defineQuery<SessionState & { readonly current: TurnRef | null }>('sessionView')

export type ChatSession = (state: SessionState) => Promise<void>
export type AgentTurn = (input: TurnInput) => Promise<void>
