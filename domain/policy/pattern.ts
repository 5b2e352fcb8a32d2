// Patterns of names: `*` stands for any run of characters, everything else for itself. Matching is linear in the text for
// each `*`, without regular expressions.
export type ToolPattern = {
  readonly server: string
  readonly tool: string
  /** Absent: any version, also an unknown one. */
  readonly version?: string
}

/** Exact, or a prefix ending in `*`. */
export function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

/** Whether a text fits a pattern with any number of `*`. Case counts. */
export function fits(pattern: string, text: string): boolean {
  return fitsParts(pattern.split('*'), text)
}

function fitsParts(parts: readonly string[], text: string): boolean {
  const head = parts[0] ?? ''
  if (parts.length === 1) return text === head
  if (!text.startsWith(head)) return false
  let at = head.length
  for (let n = 1; n < parts.length - 1; n += 1) {
    const part = parts[n] ?? ''
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  const tail = parts.at(-1) ?? ''
  return text.length - tail.length >= at && text.endsWith(tail)
}

type Prepared = {
  readonly server: readonly string[]
  readonly tool: readonly string[]
  readonly version: readonly string[]
}

const prepared = new WeakMap<ToolPattern, Prepared>()

function prepare(pattern: ToolPattern): Prepared {
  const known = prepared.get(pattern)
  if (known) return known
  const parts = (text: string) => text.toLowerCase().split('*')
  const made = { server: parts(pattern.server), tool: parts(pattern.tool), version: parts(pattern.version ?? '*') }
  prepared.set(pattern, made)
  return made
}

/** Whether a tool, named `server/tool`, fits a pattern. Names compare without case; `2.*` fits 2.1. */
export function fitsTool(pattern: ToolPattern, name: string, version: string | null): boolean {
  const parts = prepare(pattern)
  const lower = name.toLowerCase()
  const cut = lower.indexOf('/')
  if (!fitsParts(parts.tool, lower.slice(cut + 1))) return false
  if (!fitsParts(parts.server, cut < 0 ? '' : lower.slice(0, cut))) return false
  if (pattern.version === undefined || pattern.version === '*') return true
  return version !== null && fitsParts(parts.version, version.toLowerCase())
}
