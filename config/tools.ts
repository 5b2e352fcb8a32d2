// The catalogue of tool servers: YAML with `${variables}` that the engine room fills in.
import { parse } from 'yaml'
import { z } from 'zod'
import { ToolCatalogue } from '../schemas/tool.ts'

/** Parses the catalogue. A server whose variable is not set is left out; an unknown variable is a fault. */
export function parseToolCatalogue(
  text: string,
  variables: Readonly<Record<string, string | undefined>>,
): ToolCatalogue {
  const raw: unknown = parse(text)
  const filled = fill(raw, variables)
  const parsed = ToolCatalogue.safeParse(filled)
  if (!parsed.success) throw new Error(`The tool catalogue is not usable: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

function fill(value: unknown, variables: Readonly<Record<string, string | undefined>>): unknown {
  if (typeof value === 'string') return fillText(value, variables)
  if (Array.isArray(value))
    return value.filter((member) => !isLeftOut(member, variables)).map((member) => fill(member, variables))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fill(member, variables)]))
}

const variable = /\$\{([a-zA-Z]+)\}/g

function fillText(text: string, variables: Readonly<Record<string, string | undefined>>): string {
  return text.replace(variable, (_all, name: string) => {
    if (!(name in variables)) throw new Error(`The tool catalogue names the unknown variable \${${name}}.`)
    return variables[name] ?? ''
  })
}

function isLeftOut(member: unknown, variables: Readonly<Record<string, string | undefined>>): boolean {
  if (typeof member !== 'object' || member === null || !('transport' in member)) return false
  return [...JSON.stringify(member).matchAll(variable)].some(
    ([, name = '']) => name in variables && variables[name] === undefined,
  )
}
