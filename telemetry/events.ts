// Business events: one function each, a log line and a counter together. They never throw and never carry content,
// credentials or amounts as labels.
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

export type Events = {
  readonly decisionMade: (fact: {
    action: string
    kind: string
    code?: string
    rules: readonly string[]
    seconds: number
  }) => void
  readonly challengeIssued: () => void
  readonly walletSignedIn: (fact: { walletId: bigint; credential: string }) => void
  readonly credentialRefused: (fact: { code: string; reason: string }) => void
  readonly scopesRevoked: (fact: { scopes: readonly string[]; seq: bigint }) => void
  readonly sessionOpened: (fact: { sessionId: string; agentId: string }) => void
  readonly sessionDeleted: (fact: { sessionId: string }) => void
  readonly turnOpened: (fact: { turnId: string; try: number; dedupe: string }) => void
  readonly turnEnded: (fact: { turnId: string; try: number; outcome: string; seconds: number }) => void
  readonly chargePosted: (fact: { kind: string; micros: bigint; turnId: string }) => void
  readonly moneyHalted: (fact: { kind: string; walletId: bigint | null }) => void
  readonly holdUnsettled: (fact: { holdId: string; kind: string }) => void
  readonly streamDropped: (fact: { reason: string }) => void
}

/** Ties the events to a logger and the process's metrics. */
export function createEvents(log: Logger, metrics: Metrics): Events {
  const say = (event: string, fact: object) => log.info({ event, ...fact }, event)
  return {
    decisionMade({ action, kind, code, rules, seconds }) {
      metrics.count('decisions', { action, kind, code: code ?? 'none' })
      metrics.observe('decision', seconds, { action })
      if (kind !== 'allow') say('decision', { action, kind, code, rules })
    },
    challengeIssued: () => metrics.count('challenges'),
    walletSignedIn({ walletId, credential }) {
      metrics.count('sign_ins', { credential })
      say('wallet-signed-in', { walletId: walletId.toString(), credential })
    },
    credentialRefused({ code, reason }) {
      metrics.count('credentials_refused', { code })
      say('credential-refused', { code, reason })
    },
    scopesRevoked({ scopes, seq }) {
      metrics.count('revocations')
      say('scopes-revoked', { scopes: scopes.length, seq: seq.toString() })
    },
    sessionOpened(fact) {
      metrics.count('sessions_opened')
      say('session-opened', fact)
    },
    sessionDeleted(fact) {
      metrics.count('sessions_deleted')
      say('session-deleted', fact)
    },
    turnOpened(fact) {
      metrics.count('turns_opened', { dedupe: fact.dedupe })
      say('turn-opened', fact)
    },
    turnEnded(fact) {
      metrics.count('turns_ended', { outcome: fact.outcome })
      metrics.observe('turn', fact.seconds, { outcome: fact.outcome })
      say('turn-ended', fact)
    },
    chargePosted({ kind, micros, turnId }) {
      metrics.count('charges', { kind })
      metrics.count('charged_micros', { kind }, Number(micros))
      say('charge-posted', { kind, micros: micros.toString(), turnId })
    },
    moneyHalted({ kind, walletId }) {
      metrics.count('money_halts', { kind })
      say('money-halted', { kind, walletId: walletId === null ? 'all' : walletId.toString() })
    },
    holdUnsettled(fact) {
      metrics.count('holds_unsettled', { kind: fact.kind })
      say('hold-unsettled', fact)
    },
    streamDropped({ reason }) {
      metrics.count('streams_dropped', { reason })
      say('stream-dropped', { reason })
    },
  }
}
