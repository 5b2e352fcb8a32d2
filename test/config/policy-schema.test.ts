// docs/policy.schema.json is what the compiler reads.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { policySchema } from '../../config/policy/schema.ts'

test('docs/policy.schema.json is printed from the form', () => {
  expect(JSON.parse(readFileSync('docs/policy.schema.json', 'utf8'))).toEqual(policySchema())
})

test('the schema names every member of a rule, requires what is required and knows no other', () => {
  const schema = policySchema() as {
    properties: { rules: { items: { required: string[]; additionalProperties: boolean; properties: object } } }
  }
  const { required, additionalProperties, properties } = schema.properties.rules.items
  expect([required.toSorted((a, b) => a.localeCompare(b)), additionalProperties]).toEqual([
    ['effect', 'id', 'reason'],
    false,
  ])
  expect(Object.keys(properties)).toEqual(expect.arrayContaining(['tools', 'when', 'limit', 'mode', 'delegable']))
})
