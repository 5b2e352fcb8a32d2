// Writes the JSON Schema of our own policy form to docs/policy.schema.json.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { policySchema } from '../config/policy/schema.ts'

writeFileSync(
  fileURLToPath(new URL('../docs/policy.schema.json', import.meta.url)),
  `${JSON.stringify(policySchema(), null, 2)}\n`,
)
