import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decideTurn, type KnownTurn } from '../../domain/turn-decision.ts'

const now = new Date('2026-11-24T12:00:00Z')
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1_000)
const derived = { explicitKey: false, sameBody: true, now }
const explicit = { explicitKey: true, sameBody: true, now }

const turn = (facts: Partial<KnownTurn>): KnownTurn => ({
  turnId: 't',
  try: 1,
  tryState: 'ended',
  reason: 'done',
  modelOutput: true,
  createdAt: ago(10),
  endedAt: ago(5),
  doneDeliveredAt: null,
  ...facts,
})

test.each([
  ['a key with another body', turn({ tryState: 'running' }), { ...explicit, sameBody: false }, 'refuse'],
  ['nothing known', null, derived, 'new'],
  ['submitted', turn({ tryState: 'submitted' }), derived, 'resubmit'],
  ['queued', turn({ tryState: 'queued' }), derived, 'join'],
  ['running', turn({ tryState: 'running' }), explicit, 'join'],
  ['unaccepted', turn({ reason: 'unaccepted', modelOutput: false }), derived, 'retry'],
  ['swept', turn({ reason: 'swept', modelOutput: false }), explicit, 'retry'],
  ['an error before output', turn({ reason: 'upstream-unavailable', modelOutput: false }), derived, 'retry'],
  ['done and undelivered', turn({}), derived, 'replay'],
  ['done and undelivered, long ago', turn({ endedAt: ago(31) }), derived, 'new'],
  ['done and delivered', turn({ doneDeliveredAt: ago(1) }), derived, 'new'],
  ['done and delivered, with a key', turn({ doneDeliveredAt: ago(1) }), explicit, 'replay'],
  [
    'done, with a key, a day later',
    turn({ createdAt: ago(86_401), endedAt: ago(86_400), doneDeliveredAt: ago(86_400) }),
    explicit,
    'new',
  ],
  ['an error after output, undelivered', turn({ reason: 'upstream-unavailable' }), derived, 'replay'],
] as const)('%s', (_case, known, post, kind) => {
  expect(decideTurn(known, post).kind).toBe(kind)
})

test('a turn that is not over is never begun again, and a delivered answer without a key never replayed', () => {
  const facts = fc.record({
    tryState: fc.constantFrom('submitted', 'queued', 'running', 'ended' as const),
    reason: fc.constantFrom('done', 'unaccepted', 'upstream-timeout', null),
    modelOutput: fc.boolean(),
    age: fc.integer({ min: 0, max: 100_000 }),
    delivered: fc.boolean(),
    explicitKey: fc.boolean(),
  })
  fc.assert(
    fc.property(facts, ({ tryState, reason, modelOutput, age, delivered, explicitKey }) => {
      const known = turn({
        tryState,
        reason,
        modelOutput,
        createdAt: ago(age),
        endedAt: ago(age),
        doneDeliveredAt: delivered ? ago(age) : null,
      })
      const { kind } = decideTurn(known, { explicitKey, sameBody: true, now })
      if (tryState !== 'ended') expect(['resubmit', 'join']).toContain(kind)
      if (tryState === 'ended' && reason === 'done' && delivered && !explicitKey) expect(kind).not.toBe('replay')
    }),
  )
})
