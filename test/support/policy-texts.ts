// Texts of policies, and waiting for what they change.
import type { ListenerConnection } from '../../gateway/epoch-listener.ts'

type Over = { readonly version?: number; readonly effect?: string; readonly reason?: string }

/** One rule over every tool. */
export const policyText = (id: string, { version = 1, effect = 'allow', reason = 'So it is.' }: Over = {}): string =>
  `policy: ${id}
version: ${version}
rules:
  - id: ${id}-rule
    effect: ${effect}
    actions: [tool.list, tool.call]
    reason: ${reason}
`

/** A listener that connects and never hears anything. */
export const deafListener = (): ListenerConnection => ({
  connect: async () => undefined,
  query: async () => undefined,
  end: async () => undefined,
  on: () => undefined,
})

export async function until(condition: () => boolean, withinMs: number): Promise<void> {
  const startedAt = performance.now()
  while (!condition()) {
    if (performance.now() - startedAt > withinMs) throw new Error(`Nothing happened within ${withinMs} ms.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
