// Planted bugs of the decision, each a change of one line of `domain/policy`, loaded as a module of its own.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Implementation } from './policy-properties.ts'

export type Mutant = {
  readonly name: string
  readonly file: 'combine.ts' | 'index.ts' | 'match.ts' | 'pattern.ts'
  readonly from: string
  readonly to: string
}

export const policyMutants: readonly Mutant[] = [
  {
    name: 'a hard deny is taken for a soft one',
    file: 'combine.ts',
    from: "if (hard.length > 0) return { kind: 'deny', hard: true",
    to: "if (hard.length > 9) return { kind: 'deny', hard: true",
  },
  {
    name: 'a deny that cannot be evaluated is passed over',
    file: 'combine.ts',
    from: "else if (miss === 'error' && rule.effect.kind !== 'allow')",
    to: "else if (miss === 'error' && rule.effect.kind === 'limit')",
  },
  {
    name: 'an error counts as a match',
    file: 'match.ts',
    from: "if (holds === 'error') return 'error'",
    to: "if (holds === 'error') return null",
  },
  {
    name: 'what no rule allows is allowed',
    file: 'combine.ts',
    from: "if (allows.length === 0) return { kind: 'deny'",
    to: "if (allows.length > 99) return { kind: 'deny'",
  },
  {
    name: 'an allow beats a requirement',
    file: 'combine.ts',
    from: "if (first?.kind === 'require')",
    to: "if (first?.kind === 'require' && findings.length < 2)",
  },
  {
    name: 'an assurance one too low is enough',
    file: 'combine.ts',
    from: 'return assurance >= (effect.assurance ?? 3)',
    to: 'return assurance + 1 >= (effect.assurance ?? 3)',
  },
  {
    name: 'observed rules are enforced',
    file: 'combine.ts',
    from: 'combine(found.filter(isEnforced), question)',
    to: 'combine(found, question)',
  },
  {
    name: 'the default limit beats that of the tool',
    file: 'combine.ts',
    from: 'rankOf[other.rank] > rankOf[each.rank]',
    to: 'rankOf[other.rank] < rankOf[each.rank]',
  },
  {
    name: 'the higher of two limits holds',
    file: 'combine.ts',
    from: 'other.amount < each.amount',
    to: 'other.amount > each.amount',
  },
  {
    name: 'rules of a tenant are not found',
    file: 'index.ts',
    from: '    `tenant:${principal.tenant}`,\n',
    to: '',
  },
  {
    name: 'the index minds the case of tool names',
    file: 'index.ts',
    from: 'const name = resource.name.toLowerCase()',
    to: 'const name = resource.name',
  },
  {
    name: 'a tool is not found by what its name ends with',
    file: 'index.ts',
    from: 'text.slice(text.length - length)',
    to: 'text.slice(0, length)',
  },
  {
    name: 'an allow list refuses what it lists',
    file: 'match.ts',
    from: "question.resource.kind === 'tool' && !isTool(question, match.exceptTools)",
    to: "question.resource.kind === 'tool' && isTool(question, match.exceptTools)",
  },
  {
    name: 'version 2.* takes version 20.1',
    file: 'pattern.ts',
    from: "version: parts(pattern.version ?? '*')",
    to: "version: parts(pattern.version?.replace('.*', '*') ?? '*')",
  },
]

const original = fileURLToPath(new URL('../../domain/', import.meta.url))

/** Decisions with one bug in them. */
export async function loadMutant({ file, from, to }: Mutant): Promise<Implementation> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-mutant-'))
  try {
    cpSync(original, folder, { recursive: true })
    const path = join(folder, 'policy', file)
    const text = readFileSync(path, 'utf8')
    if (text.split(from).length !== 2) throw new Error(`${file} does not hold the line once: ${from}`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
    return (await import(pathToFileURL(join(folder, 'policy', 'combine.ts')).href)) as Implementation
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
