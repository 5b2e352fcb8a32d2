// Rules from which something else follows than yes or no: observed ones, and those that ask for more.
import { expect, test } from 'vitest'
import { errorOf } from '../../gateway/answer.ts'
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

test('what a rule asks for is said by a code of its own, to the caller and on record', async () => {
  await using database = await createTestDatabase()
  const asked = [
    ['approval', 'approval-required'],
    ['step-up', 'step-up-required'],
    ['assurance', 'assurance-required'],
  ] as const
  for (const [requirement, code] of asked) {
    const ask = ruleOf('ask', {
      kind: 'require',
      requirement,
      ...(requirement === 'assurance' ? { assurance: 3 } : {}),
    })
    await using strict = await openGateway(database, { policy: policyOf(allowAll, ask) })
    const person = await createPerson(database.pool)
    const answer = await strict.pipeline.run(toolCall(person, 'write'), async () => ({ value: 1 }))
    if (answer.kind === 'done') throw new Error('It is held.')
    expect(errorOf(answer)).toMatchObject({ code, details: { rules: 'ask' } })
    await strict.sealer.drain()
    expect((await recordsOf(database.pool, person.tenant))[0]).toMatchObject({ status: 'held', error_code: code })
  }
})
