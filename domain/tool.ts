// What a tool may do, judged by name when nothing better is known. The catalogue's class wins; a server's own hints may
// raise a class, never lower it, because they come from the party being judged.

import { fits } from './policy/pattern.ts'

export const effectClasses = ['read', 'write', 'destructive'] as const
export type EffectClass = (typeof effectClasses)[number]

const destructiveVerbs = new Set(['delete', 'destroy', 'drop', 'merge', 'force', 'purge'])
const readVerbs = new Set(['get', 'list', 'search', 'read', 'describe', 'echo', 'count'])

export type ToolHints = { readonly readOnlyHint?: boolean; readonly destructiveHint?: boolean }

/** `deleteUserNote`, `delete_user-note` → `['delete', 'user', 'note']`. */
export function wordsOfName(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}

/** Class of a tool: catalogue, else destructive by verb, else read by its first verb, else write; hints only raise. */
export function classifyTool(name: string, catalogue: EffectClass | undefined, hints: ToolHints = {}): EffectClass {
  const judged = catalogue ?? classByName(name)
  if (hints.destructiveHint === true) return 'destructive'
  if (hints.readOnlyHint === false && judged === 'read') return 'write'
  return judged
}

function classByName(name: string): EffectClass {
  const words = wordsOfName(name)
  if (words.some((word) => destructiveVerbs.has(word))) return 'destructive'
  return readVerbs.has(words[0] ?? '') ? 'read' : 'write'
}

/** Canonical reference `server__tool`; reversible because server ids hold no double underscore. */
export function exposedToolName(server: string, tool: string): string {
  return `${server}__${tool}`
}

/** Splits `server__tool`; undefined when it is not of that form. */
export function splitToolName(name: string): { server: string; tool: string } | undefined {
  const at = name.indexOf('__')
  if (at <= 0 || at + 2 >= name.length) return undefined
  return { server: name.slice(0, at), tool: name.slice(at + 2) }
}

const toolPattern = /^[A-Za-z0-9][A-Za-z0-9._:@-]*\/[A-Za-z0-9._*-]+$/

/** Whether a text names tools of one server: `server/tool`, with `*` for any part of the tool's name. */
export const isToolPattern = (text: string): boolean => toolPattern.test(text)

/** What an agent works with: servers, and of their tools those that a pattern names; all of them without patterns. */
export type ToolBelt = { readonly servers: readonly string[]; readonly tools: readonly string[] | null }

/** Whether a tool is on an agent's own list. */
export function isOnBelt({ servers, tools }: ToolBelt, server: string, tool: string): boolean {
  if (!servers.includes(server)) return false
  return tools === null || tools.some((pattern) => fits(pattern, `${server}/${tool}`))
}
