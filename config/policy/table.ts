// Tables of tests that lie beside a policy: `name.test.yaml`. Faults name the file, the line and the case.
import { PolicyTable } from '../../schemas/policy.ts'
import { PolicyError, readDocuments } from './yaml.ts'

/** Parses a table. Throws PolicyError with every fault. */
export function parsePolicyTable(name: string, text: string): PolicyTable {
  const [document, second] = readDocuments(name, text)
  if (document === undefined || second !== undefined) throw new PolicyError([`${name}:1: must be one table`])
  const { value, lineOf } = document
  const parsed = PolicyTable.safeParse(value)
  if (parsed.success) return parsed.data
  throw new PolicyError(
    parsed.error.issues.map(({ path, message }) => {
      const field = path.length === 0 ? '' : `${path.join('.')}: `
      return `${name}:${lineOf(path)}: ${field}${message}`
    }),
  )
}
