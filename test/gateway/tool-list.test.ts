// A list is filtered by the decision that a call meets: a tool is listed exactly when it is not refused outright.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide, policySet } from '../../domain/policy/combine.ts'
import { effectClasses } from '../../domain/tool.ts'
import { createToolOffer, listQuestion, shownTools, type KnownTool } from '../../gateway/tool-offer.ts'
import { anyQuestion, anyRules } from '../support/policy-cases.ts'
import { refer } from '../support/policy-reference.ts'
import { allowAll, personWith, policyOf, quiet, ruleOf } from './fixture.ts'

const toolOf = (server: string, name: string, effectClass: KnownTool['effectClass'] = 'read'): KnownTool => ({
  ...{ server, name, effectClass },
  ...{ description: '', inputSchema: {}, hints: {} },
})

const anyTools = fc.array(
  fc
    .tuple(
      fc.constantFrom('notes/get_note', 'notes/write', 'other/get', 'Notes/Get_Note'),
      fc.constantFrom(...effectClasses),
    )
    .map(([name, effectClass]) => toolOf(name.split('/')[0] ?? '', name.split('/')[1] ?? '', effectClass)),
  { maxLength: 6 },
)

test('listed is what the decision, and the plain reading of the rules, do not refuse outright', () => {
  fc.assert(
    fc.property(anyRules, anyQuestion, anyTools, (rules, { principal, session }, tools) => {
      const policy = policySet({ policyId: 'test', version: 3, epoch: 7, rules })
      const shown = shownTools(policy, { principal, session }, tools)
      const asked = (tool: KnownTool) => listQuestion({ principal, session }, tool)
      expect(shown).toEqual(tools.filter((tool) => decide(policy, asked(tool)).kind !== 'deny'))
      expect(shown).toEqual(tools.filter((tool) => refer(rules, asked(tool)).kind !== 'deny'))
    }),
    { numRuns: 2_000 },
  )
})

test('a rule that reads the risk of the session hides tools from a risky one and from none', () => {
  const when = {
    text: 'risky',
    holds: ({ session }: { session: { risk: number } | null }) => (session ? session.risk > 50 : ('error' as const)),
  }
  const policy = policyOf(allowAll, { ...ruleOf('risky', { kind: 'deny', hard: false }), when })
  const seen = (session: { id: string; risk: number } | null) =>
    shownTools(policy, { principal: personWith({}), session }, [toolOf('notes', 'get')]).length
  expect([seen({ id: 's', risk: 3 }), seen({ id: 's', risk: 80 }), seen(null)]).toEqual([1, 0, 0])
})

test('what waits for a person is listed; a list is made by one set, whatever happens meanwhile', async () => {
  const ask = ruleOf('ask', { kind: 'require', requirement: 'approval' }, { classes: ['write'] })
  let reads = 0
  const offer = createToolOffer({
    tools: {
      servers: () => ['notes'],
      list: async () => [toolOf('notes', 'get_note'), toolOf('notes', 'write_note')],
    } as never,
    classes: {},
    policy: {
      current: () => {
        reads += 1
        return policyOf(allowAll, ask)
      },
    },
    log: quiet as never,
  })
  const viewer = { principal: personWith({}), session: null }
  const offered = await offer.offered(viewer, { servers: ['notes'], tools: null }, new AbortController().signal)
  expect(offered.map(({ name }) => name)).toEqual(['notes__get_note', 'notes__write_note'])
  expect(reads).toBe(1)
})
