// Golden cases of the policies of operators (contracts 17).
import { expectGolden } from '../support/golden.ts'
import type { Person } from '../support/person.ts'

const at = '/api/v1/policies'
const text = (effect: string) =>
  `policy: guests\nversion: 1\nrules: [{ id: guests-read, effect: ${effect}, tenants: [guests], reason: Guests. }]\n`
const table = `cases:
  - { name: guests read, principal: { tenant: guests }, action: tool.call, resource: "tool:a/get_b", expect: allow }
  - { name: others do not, action: tool.call, resource: "tool:a/get_b", expect: allow }
`

/** Leaves the policies as they were; answers what a retired one says. */
export async function policyCases(operator: Person, person: Person): Promise<number> {
  const change = (effect: string) => operator.call('PUT', `${at}/guests`, { text: text(effect) })
  await expectGolden('17-policies-refused', await person.call('GET', at))
  await expectGolden('17-policies', await operator.call('GET', at))
  const ofFile = { text: text('allow').replace('policy: guests', 'policy: default') }
  await expectGolden('17-policy-from-file', await operator.call('PUT', `${at}/default`, ofFile))
  await expectGolden('17-policy-validate', await operator.call('POST', `${at}/validate`, { text: text('maybe') }))
  await expectGolden('17-policy-invalid', await change('maybe'))
  const policies = [{ name: 'guests.yaml', text: text('allow') }]
  await expectGolden('17-policy-test', await operator.call('POST', `${at}/test`, { table, policies }))
  await expectGolden('17-policy-put', await change('allow'))
  await change('deny')
  await expectGolden('17-policy-rollback', await operator.call('POST', `${at}/guests/rollback`, { version: 1 }))
  await expectGolden('17-policy-versions', await operator.call('GET', `${at}/guests/versions`))
  await expectGolden('17-policy-version', await operator.call('GET', `${at}/guests/versions/2`))
  await expectGolden('17-policy', await operator.call('GET', `${at}/guests`))
  const asked = { action: 'tool.call', phase: 'stream', resource: 'tool:workbench/delete_note' }
  await expectGolden('17-policy-explain', await operator.call('POST', `${at}/explain`, asked))
  await expectGolden('17-policy-retired', await operator.call('DELETE', `${at}/guests`))
  return (await operator.call('GET', `${at}/guests`)).status
}
