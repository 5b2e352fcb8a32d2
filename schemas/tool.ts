// Tool servers and the classes of their tools, as the catalogue file says them.
import { z } from 'zod'
import { toolServersMax } from '../domain/limits.ts'
import { effectClasses } from '../domain/tool.ts'

export const ToolServer = z.strictObject({
  // No double underscore: `server__tool` must split in one way.
  id: z.string().regex(/^[a-z0-9]+(?:[-_][a-z0-9]+)*$/, 'must be lower-case words joined by single - or _'),
  title: z.string(),
  transport: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('stdio'), command: z.string(), args: z.array(z.string()) }),
    // A server inside a private network is reached only when its entry says so.
    z.strictObject({ kind: z.literal('http'), url: z.url({ protocol: /^https?$/ }), private: z.boolean().optional() }),
  ]),
})
export type ToolServer = z.output<typeof ToolServer>

export const ToolCatalogue = z.strictObject({
  servers: z.array(ToolServer).max(toolServersMax),
  classes: z.record(z.string().regex(/^[^/]+\/.+$/, 'must be server/tool'), z.enum(effectClasses)),
})
export type ToolCatalogue = z.output<typeof ToolCatalogue>

export type ToolDescription = {
  readonly server: string
  readonly name: string
  readonly description: string
  readonly inputSchema: Record<string, unknown>
  readonly hints: { readonly readOnlyHint?: boolean; readonly destructiveHint?: boolean }
}

export type ToolOutcome = { readonly text: string; readonly isError: boolean }

/** An outcome as a model and a person see it: of a long one the beginning, with the bytes of the whole. */
export type ShownOutcome = ToolOutcome & { readonly wholeBytes?: number }
