// A principal beside a turn: everything that decides comes back, but tenant and roles are those of now.
import { expect, test } from 'vitest'
import { admissionOf, principalOf } from '../../gateway/admission-record.ts'
import { Admission } from '../../schemas/admission.ts'
import { personWith } from './fixture.ts'

const members = { of: () => ({ tenant: 'acme', roles: ['approver'] as const }) }

test.each([
  ['a plain one', personWith({})],
  [
    'a full one',
    personWith({
      serverId: 'notes',
      proof: { kind: 'dpop', thumbprint: 'abc', replayId: 'j1' },
      sessionIds: { usid: 'u', wsid: 'w', asid: 'a', msid: 'm' },
      walletId: 9_007_199_254_740_993n,
    }),
  ],
])('comes back from its stored form: %s', (_title, principal) => {
  const stored: unknown = JSON.parse(JSON.stringify(admissionOf(principal)))
  const back = principalOf(Admission.parse(stored), members)
  expect(back).toEqual({ ...principal, tenant: 'acme', roles: ['approver'] })
})

test('holds no role and no credential', () => {
  const text = JSON.stringify(admissionOf(personWith({ roles: ['operator'] })))
  expect(text).not.toMatch(/operator|roles|token"|secret|authorization/i)
})
