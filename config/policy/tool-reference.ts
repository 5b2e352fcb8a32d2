// The text form of tool patterns: `mcp://server/tool@version`. The scheme may be left out; `*` stands for any run of
// characters; without a version any version fits.
import type { ToolPattern } from '../../domain/policy/pattern.ts'

const reference = /^(?:mcp:\/\/)?([A-Za-z0-9._*-]+)\/([A-Za-z0-9._*:-]+?)(?:@([A-Za-z0-9._*+-]+))?$/

/** Reads a reference; undefined when it is none. */
export function toolPattern(text: string): ToolPattern | undefined {
  if (text === '*') return { server: '*', tool: '*' }
  const [, server, tool, version] = reference.exec(text) ?? []
  if (server === undefined || tool === undefined) return undefined
  return { server, tool, ...(version === undefined ? {} : { version }) }
}
