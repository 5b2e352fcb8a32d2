// The published shape of a policy file of our own form, for editors and for those who write such files by program.
import { z } from 'zod'
import { PolicyText } from './native.ts'

/** JSON Schema 2020-12, printed from what the compiler reads. Conditions and references are checked beyond it. */
export function policySchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(PolicyText, { io: 'input', unrepresentable: 'any' })
  return { $schema, title: 'Gatehouse policy', ...schema }
}
