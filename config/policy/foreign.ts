// What the foreign forms share: faults with file, line and path, rules with their common members, and conditions that are
// code of ours instead of an expression.
import type { z } from 'zod'
import { candidates, indexRules, type RuleIndex } from '../../domain/policy/index.ts'
import { firstMiss } from '../../domain/policy/match.ts'
import type {
  Condition,
  LimitEffect,
  Phase,
  Question,
  Rule,
  RuleEffect,
  RuleMatch,
  Severity,
} from '../../domain/policy/rule.ts'
import { keysAt, nearest } from './known-keys.ts'
import { toolPattern } from './tool-reference.ts'
import type { ToolPattern } from '../../domain/policy/pattern.ts'
import { PolicyError, type YamlSource } from './yaml.ts'

/** Parses a document of a file, or throws PolicyError with every fault and its line. */
export function parseForm<S extends z.ZodType>(source: YamlSource, schema: S): z.output<S> {
  const parsed = schema.safeParse(source.value)
  if (parsed.success) return parsed.data
  throw new PolicyError(parsed.error.issues.flatMap((issue) => faultsOf(source, schema, issue)))
}

// An unknown key is named with its own line, not with that of the block it stands in.
function faultsOf(source: YamlSource, schema: z.ZodType, issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'invalid_union') {
    // Of the forms that a block may have, the one that got furthest says what is wrong.
    const deepest = issue.errors.toSorted((a, b) => depthOf(b) - depthOf(a))[0] ?? []
    const inner = deepest.map((each) => ({ ...each, path: [...issue.path, ...each.path] }))
    if (depthOf(deepest) > 0) return inner.flatMap((each) => faultsOf(source, schema, each))
  }
  if (issue.code !== 'unrecognized_keys') return [faultAt(source, issue.path, issue.message)]
  const known = keysAt(schema, issue.path)
  return issue.keys.map((key) => {
    const meant = nearest(key, known)
    const hint = meant === undefined ? '' : `; ${meant} is`
    return faultAt(source, [...issue.path, key], `is not known${hint}`)
  })
}

// A fault at the block itself counts for something where it names a key.
const depthOf = (issues: readonly z.core.$ZodIssue[]) =>
  Math.max(0, ...issues.map(({ code, path }) => path.length + (code === 'unrecognized_keys' ? 1 : 0)))

/** `file:line: path: message`. */
export function faultAt(source: YamlSource, path: readonly PropertyKey[], message: string): string {
  const where = `${source.name}:${source.lineOf(path)}: `
  return path.length === 0 ? `${where}${message}` : `${where}${path.map(String).join('.')}: ${message}`
}

/** What a rule of a foreign file is made of; the rest has one value for all of them. */
export type RuleParts = {
  readonly id: string
  readonly path: readonly PropertyKey[]
  readonly match: RuleMatch
  readonly effect: RuleEffect
  readonly reason: string
  readonly severity?: Severity
  readonly phases?: readonly Phase[]
  readonly when?: Condition
  readonly mode?: Rule['mode']
}

/** Completes the rules of a file. Those on tools act on lists and calls alike unless they say otherwise. */
export const toRules = (source: YamlSource, policyId: string, parts: readonly RuleParts[]): Rule[] =>
  parts.map(({ id, path, match, effect, reason, severity, phases, when, mode }) => ({
    id,
    policyId,
    version: 1,
    source: `${source.name}:${source.lineOf(path)}`,
    phases: phases ?? ['list', 'call'],
    match: { actions: ['tool.list', 'tool.call'], ...match },
    ...(when === undefined ? {} : { when }),
    effect,
    reason,
    severity: severity ?? 'low',
    mode: mode ?? 'enforce',
    delegable: false,
  }))

/** Id of a policy whose file has no name of its own: that of the file. */
export function policyIdOf(fileName: string): string {
  const base =
    fileName
      .split('/')
      .at(-1)
      ?.replace(/\.ya?ml$/i, '') ?? ''
  return (
    base
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'policy'
  )
}

/** A condition in code. What it throws counts as a fact that is missing. */
export const condition = (text: string, holds: (question: Question) => boolean): Condition => ({
  text,
  holds: (question) => {
    try {
      return holds(question)
    } catch {
      return 'error'
    }
  },
})

/** Holds where none of the rules speaks of the question: what a closed list leaves. Rules that join later count too. */
export function noneOf(rules: readonly Rule[]): Condition {
  let index: RuleIndex | undefined
  return condition('no rule of the list allows it', (question) => {
    index ??= indexRules(rules)
    return candidates(index, question).every((rule) => firstMiss(rule, question) !== null)
  })
}

/** A limit of calls on tools. */
export function limitOf(effect: Omit<LimitEffect, 'kind'>): LimitEffect {
  return { kind: 'limit', ...effect }
}

/** Reads tool references, with a fault for each that is none. */
export function readPatterns(
  source: YamlSource,
  path: readonly PropertyKey[],
  references: readonly string[],
): { readonly patterns: ToolPattern[]; readonly faults: string[] } {
  const patterns: ToolPattern[] = []
  const faults: string[] = []
  for (const [index, text] of references.entries()) {
    const pattern = toolPattern(text)
    if (pattern) patterns.push(pattern)
    else
      faults.push(faultAt(source, [...path, index], `${text} is no tool reference such as mcp://server/tool@version`))
  }
  return { patterns, faults }
}
