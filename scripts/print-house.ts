// Writes the import table of the plan into ARCHITECTURE.md, between its markers.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { printPlan } from '../test/support/house-plan.ts'

const file = fileURLToPath(new URL('../ARCHITECTURE.md', import.meta.url))
const text = readFileSync(file, 'utf8')
writeFileSync(
  file,
  text.replace(/<!-- plan -->[\s\S]*<!-- \/plan -->/, () => `<!-- plan -->\n${printPlan()}\n<!-- /plan -->`),
)
