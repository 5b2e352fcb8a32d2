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
  const [head = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return pattern === text
  if (!text.startsWith(head)) return false
  const tail = rest.pop() ?? ''
  let at = head.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - tail.length >= at && text.endsWith(tail)
}

/** Whether a tool, named `server/tool`, fits a pattern. Names compare without case; `2.*` fits 2.1. */
export function fitsTool(pattern: ToolPattern, name: string, version: string | null): boolean {
  const cut = name.indexOf('/')
  const server = cut < 0 ? '' : name.slice(0, cut)
  const tool = name.slice(cut + 1)
  if (!fits(pattern.server.toLowerCase(), server.toLowerCase())) return false
  if (!fits(pattern.tool.toLowerCase(), tool.toLowerCase())) return false
  if (pattern.version === undefined || pattern.version === '*') return true
  return version !== null && fits(pattern.version.toLowerCase(), version.toLowerCase())
}
