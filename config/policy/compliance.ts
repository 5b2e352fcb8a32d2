// Compliance packs of a tool-gateway policy (contracts 14.4): patterns that must not stand in what goes into a tool become
// rules about its arguments. Rules on answers, on whole runs, or in plain language are named, because nothing looks for them.
import { z } from 'zod'
import { policyArgumentsMax } from '../../domain/limits.ts'
import type { CompileCondition, Condition, Question } from '../../domain/policy/rule.ts'
import { condition, faultAt, type RuleParts } from './foreign.ts'
import type { YamlSource } from './yaml.ts'

const CompliancePack = z.strictObject({
  id: z.string().min(1),
  name: z.string(),
  rules: z.array(
    z.strictObject({
      type: z.enum(['regex', 'nl']),
      location: z.enum(['input', 'output', 'both', 'run']),
      severity: z.enum(['critical', 'high', 'medium', 'low']),
      patterns: z.array(z.string().min(1)).optional(),
      instruction: z.string().optional(),
    }),
  ),
})

export const Compliance = z.strictObject({
  packs: z.array(CompliancePack).optional(),
  policies: z.array(z.unknown()).optional(),
})
type Compliance = z.output<typeof Compliance>
type PackRule = z.output<typeof CompliancePack>['rules'][number]

export type Packs = { readonly rules: RuleParts[]; readonly faults: string[]; readonly notEnforced: string[] }

/** Rules of the block. A pattern is one that the engine of conditions takes: linear in the text that it searches. */
export function complianceRules(source: YamlSource, block: Compliance, compileCondition: CompileCondition): Packs {
  const made: Packs = { rules: [], faults: [], notEnforced: [] }
  if ((block.policies?.length ?? 0) > 0)
    made.notEnforced.push(faultAt(source, ['compliance', 'policies'], 'nothing obeys them yet'))
  const ids = new Set<string>()
  for (const [at, pack] of (block.packs ?? []).entries()) {
    const path = ['compliance', 'packs', at]
    if (ids.has(pack.id)) made.faults.push(faultAt(source, [...path, 'id'], `${pack.id} is used twice`))
    ids.add(pack.id)
    for (const [index, rule] of pack.rules.entries()) {
      const place = [...path, 'rules', index]
      const why = unheeded(rule)
      if (why !== undefined) made.notEnforced.push(faultAt(source, [...place, 'location'], why))
      if (rule.type === 'regex')
        addRule(made, { source, path: place, rule, id: `compliance:${pack.id}:${index}`, compileCondition })
    }
  }
  return made
}

function unheeded({ type, location }: PackRule): string | undefined {
  if (type === 'nl') return 'nobody reads instructions yet'
  if (location === 'both') return 'answers are not looked through yet; what goes in is'
  return location === 'input' ? undefined : 'only what goes into a tool is looked through yet'
}

type Adding = {
  readonly source: YamlSource
  readonly path: readonly PropertyKey[]
  readonly rule: PackRule
  readonly id: string
  readonly compileCondition: CompileCondition
}

// A pattern that cannot be used is a fault wherever it would be looked for.
function addRule({ rules, faults }: Packs, { source, path, rule, id, compileCondition }: Adding): void {
  const { patterns = [] } = rule
  if (patterns.length === 0) faults.push(faultAt(source, path, 'a regex rule needs patterns'))
  const conditions = patterns.flatMap((pattern, index) => {
    const read = compileCondition(`args.text.matches(${JSON.stringify(pattern)})`, ['call'])
    if (!('faults' in read)) return [read.condition]
    faults.push(...read.faults.map((fault) => faultAt(source, [...path, 'patterns', index], fault)))
    return []
  })
  if (rule.location !== 'input' && rule.location !== 'both') return
  rules.push({
    id,
    path,
    match: { actions: ['tool.call'], tools: [{ server: '*', tool: '*' }] },
    phases: ['call'],
    when: stands(conditions),
    effect: { kind: 'deny', hard: false },
    reason: 'The arguments hold what a compliance pack forbids.',
    severity: rule.severity,
  })
}

// Names, numbers and texts at any depth. What is not looked at is not let through.
const stands = (conditions: readonly Condition[]): Condition =>
  condition('a pattern of the pack stands in the arguments', (question) => {
    for (const text of textsOf(question.facts.arguments))
      for (const { holds } of conditions) {
        const found = holds({ ...question, facts: { ...question.facts, arguments: { text } } } satisfies Question)
        if (found === 'error') throw new TypeError('A pattern could not be searched for.')
        if (found) return true
      }
    return false
  })

function textsOf(given: unknown): string[] {
  const texts: string[] = []
  const queue: unknown[] = [given]
  for (let at = 0; at < queue.length; at += 1) {
    if (at > policyArgumentsMax) throw new RangeError('There are too many arguments to look at.')
    const value = queue[at]
    if (typeof value === 'string') texts.push(value)
    else if (typeof value === 'number') texts.push(String(value))
    else if (Array.isArray(value)) queue.push(...value)
    else if (typeof value === 'object' && value !== null) queue.push(...Object.keys(value), ...Object.values(value))
  }
  return texts
}
