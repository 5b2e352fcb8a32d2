// What a chat POST means: the table of the contract (5.2), and what must hold whatever is known.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decideTurn, type KnownTurn, type Post } from '../../domain/turn-decision.ts'

const now = new Date('2026-11-24T12:00:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000)

const known = (change: Partial<KnownTurn> = {}): KnownTurn => ({
  turnId: 't',
  try: 2,
  tryState: 'ended',
  reason: 'done',
  modelOutput: true,
  createdAt: ago(60),
  endedAt: ago(5),
  doneDeliveredAt: null,
  ...change,
})
const derived: Post = { explicitKey: false, sameBody: true, now }
const explicit: Post = { explicitKey: true, sameBody: true, now }
const failed = { reason: 'upstream-timeout', modelOutput: false } as const

test.each<readonly [title: string, turn: KnownTurn | null, post: Post, kind: string]>([
  ['another body under an explicit key is refused', known(), { ...explicit, sameBody: false }, 'refuse'],
  ['also while the first body still runs', known({ tryState: 'running' }), { ...explicit, sameBody: false }, 'refuse'],
  [
    'after 24 hours an explicit key is free again',
    known({ createdAt: ago(86_401) }),
    { ...explicit, sameBody: false },
    'new',
  ],
  [
    'another body under a free key never runs the old one',
    known({ ...failed, createdAt: ago(86_401) }),
    { ...explicit, sameBody: false },
    'new',
  ],
  ['an unknown key begins a turn', null, derived, 'new'],
  [
    'a submitted try is submitted again under the same id',
    known({ tryState: 'submitted', reason: null }),
    derived,
    'resubmit',
  ],
  ['a queued try is joined', known({ tryState: 'queued', reason: null }), derived, 'join'],
  ['a running try is joined', known({ tryState: 'running', reason: null }), explicit, 'join'],
  ['a try that nobody took is tried again', known({ ...failed, reason: 'unaccepted' }), derived, 'retry'],
  ['a swept try is tried again', known({ ...failed, reason: 'swept' }), explicit, 'retry'],
  ['an error before model output is tried again', known(failed), derived, 'retry'],
  [
    'an error after model output is not repeated under a key',
    known({ reason: 'upstream-timeout' }),
    explicit,
    'replay',
  ],
  ['an explicit key replays a delivered answer', known({ doneDeliveredAt: ago(1) }), explicit, 'replay'],
  ['an undelivered answer is replayed within 30 s', known({ endedAt: ago(30) }), derived, 'replay'],
  ['after 30 s the same words are a new turn', known({ endedAt: ago(31) }), derived, 'new'],
  ['after delivery the same words are a new turn', known({ doneDeliveredAt: ago(1) }), derived, 'new'],
  [
    'an explicit key older than a day begins anew',
    known({ createdAt: ago(90_000), endedAt: ago(89_990) }),
    explicit,
    'new',
  ],
])('%s', (...row) => {
  const [, turn, post, kind] = row
  expect(decideTurn(turn, post).kind).toBe(kind)
})

test('the next try of a turn is one more, of the same turn', () => {
  expect(decideTurn(known(failed), derived)).toEqual({ kind: 'retry', turnId: 't', try: 3 })
})

const anyKnown = fc.record<KnownTurn>({
  turnId: fc.constant('t'),
  try: fc.integer({ min: 1, max: 9 }),
  tryState: fc.constantFrom('submitted', 'queued', 'running', 'ended'),
  reason: fc.constantFrom(null, 'done', 'swept', 'unaccepted', 'refused', 'turn-cancelled', 'upstream-timeout'),
  modelOutput: fc.boolean(),
  createdAt: fc.integer({ min: 0, max: 200_000 }).map(ago),
  endedAt: fc.option(fc.integer({ min: 0, max: 200_000 }).map(ago)),
  doneDeliveredAt: fc.option(fc.integer({ min: 0, max: 200_000 }).map(ago)),
})
const anyPost = fc.record<Post>({ explicitKey: fc.boolean(), sameBody: fc.boolean(), now: fc.constant(now) })

test('whatever is known, a turn that is not over never gets company, and a finished answer is never tried again', () => {
  const holds = fc.property(anyKnown, anyPost, (turn, post) => {
    const decision = decideTurn(turn, post)
    const { kind } = decision
    const isOpen = turn.tryState !== 'ended'
    return (
      (!isOpen || ['resubmit', 'join', 'refuse'].includes(kind)) &&
      (kind !== 'retry' || (turn.reason !== 'done' && !turn.modelOutput)) &&
      (decision.kind !== 'retry' || (decision.turnId === turn.turnId && decision.try === turn.try + 1)) &&
      (kind !== 'refuse' || (post.explicitKey && !post.sameBody)) &&
      (kind !== 'replay' || turn.endedAt === null || post.explicitKey || turn.doneDeliveredAt === null)
    )
  })
  expect(() => fc.assert(holds)).not.toThrow()
})
