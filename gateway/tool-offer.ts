// Which tools an agent is shown, and what a named tool is: one reading of the servers' lists, judged by the catalogue and
// filtered by the same decision that a call meets.
import type { ToolUpstreams } from '../clients/tools.ts'
import { toolListCacheMs } from '../domain/limits.ts'
import { refuses, type PolicySet } from '../domain/policy/combine.ts'
import type { Question } from '../domain/policy/rule.ts'
import { classifyTool, exposedToolName, isOnBelt, type EffectClass, type ToolBelt } from '../domain/tool.ts'
import type { ModelTool } from '../schemas/model.ts'
import type { ToolDescription } from '../schemas/tool.ts'
import type { Logger } from '../telemetry/log.ts'
import type { PolicySource } from './ports.ts'

export type KnownTool = ToolDescription & { readonly effectClass: EffectClass }

/** Who looks at a list, and in which session. */
export type Viewer = Pick<Question, 'principal' | 'session'>

export type ToolOffer = {
  /** Tools of an agent that the viewer may be shown, in a fixed order. A server that is down hides only itself. */
  readonly offered: (viewer: Viewer, belt: ToolBelt, signal: AbortSignal) => Promise<readonly ModelTool[]>
  /** The tool as its server lists it now; undefined when it does not. */
  readonly find: (server: string, tool: string, signal: AbortSignal) => Promise<KnownTool | undefined>
}

export type ToolOfferDeps = {
  readonly tools: ToolUpstreams
  readonly classes: Readonly<Record<string, EffectClass>>
  readonly policy: PolicySource
  readonly log: Logger
}

export function createToolOffer(deps: ToolOfferDeps): ToolOffer {
  const cache = new Map<string, { readonly at: number; readonly tools: readonly KnownTool[] }>()
  const listed = async (server: string, signal: AbortSignal) => {
    const known = cache.get(server)
    if (known && performance.now() - known.at < toolListCacheMs) return known.tools
    const tools = (await deps.tools.list(server, signal)).map((tool) => judge(deps, tool))
    cache.set(server, { at: performance.now(), tools })
    return tools
  }
  return {
    async offered(viewer, belt, signal) {
      const lists = await Promise.all(
        belt.servers.map((server) =>
          listed(server, signal).catch((error: unknown) => {
            signal.throwIfAborted()
            deps.log.warn({ server, err: error }, 'the tools of a server are not offered')
            return []
          }),
        ),
      )
      const own = lists.flat().filter((tool) => isOnBelt(belt, tool.server, tool.name))
      return shownTools(deps.policy.current(), viewer, own).map((tool) => ({
        name: exposedToolName(tool.server, tool.name),
        description: tool.description,
        inputSchema: tool.inputSchema,
      }))
    },
    async find(server, tool, signal) {
      if (!deps.tools.servers().includes(server)) return undefined
      return (await listed(server, signal)).find((each) => each.name === tool)
    },
  }
}

function judge({ classes }: ToolOfferDeps, tool: ToolDescription): KnownTool {
  return { ...tool, effectClass: classifyTool(tool.name, classes[`${tool.server}/${tool.name}`], tool.hints) }
}

/** Tools that the policy does not refuse outright: what is allowed, and what only waits for a person or a proof. */
export function shownTools(policy: PolicySet, viewer: Viewer, tools: readonly KnownTool[]): KnownTool[] {
  return tools.filter((tool) => !refuses(policy, listQuestion(viewer, tool)))
}

/** The question that a list asks of each tool. It is the caller's own list: the tools serve the one who looks. */
export function listQuestion({ principal, session }: Viewer, tool: KnownTool): Question {
  return {
    principal,
    session,
    action: 'tool.list',
    resource: {
      kind: 'tool',
      name: `${tool.server}/${tool.name}`,
      effectClass: tool.effectClass,
      owner: principal.wallet,
    },
    facts: { phase: 'list', arguments: null },
  }
}
