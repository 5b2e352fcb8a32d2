// Rules under observation: nothing follows from them, and the record says what would have.
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { allowAll, createPerson, openGateway, policyOf, recordsOf, ruleOf, toolCall } from './fixture.ts'

test('what rules under observation would have done is recorded, and nothing follows', async () => {
  const watched = { ...ruleOf('watched', { kind: 'deny', hard: false }), mode: 'observe' as const }
  await using database = await createTestDatabase()
  await using lenient = await openGateway(database, { policy: policyOf(allowAll, watched) })
  const person = await createPerson(database.pool)
  expect(await lenient.pipeline.run(toolCall(person, 'read'), async () => ({ value: 1 }))).toMatchObject({
    kind: 'done',
  })
  await lenient.sealer.drain()
  await using strict = await openGateway(database, { policy: policyOf(allowAll) })
  await strict.pipeline.run(toolCall(person, 'read'), async () => ({ value: 1 }))
  await strict.sealer.drain()
  const [would, same] = await recordsOf(database.pool, person.tenant)
  expect(would?.policy).toMatchObject({
    ...{ decision: 'allow', rules: ['allow-all'] },
    observed: { decision: 'deny', rules: ['watched'], rationale: 'The rule watched says so.' },
  })
  expect(same?.policy.observed).toBeNull()
})
