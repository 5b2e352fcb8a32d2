// Tool servers over MCP: stdio children of ours and streamable HTTP servers, one shared connection each. What they say is
// bounded in time and bytes; nobody of them ever sees a caller's credential.
import { ProtocolError, type Client } from '@modelcontextprotocol/client'
import { GatewayError } from '../domain/errors.ts'
import {
  toolArgumentsBytesMax,
  toolDescriptionCharsMax,
  toolListMs,
  toolResultBytesMax,
  toolsPerServerMax,
} from '../domain/limits.ts'
import type { ToolDescription, ToolOutcome, ToolServer } from '../schemas/tool.ts'
import { createToolConnection, type ConnectionDeps, type ToolConnection } from './tools/connection.ts'

export type ToolOrder = {
  readonly server: string
  readonly tool: string
  readonly args: unknown
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

export type ToolUpstreams = AsyncDisposable & {
  readonly servers: () => readonly string[]
  readonly list: (server: string, signal: AbortSignal) => Promise<readonly ToolDescription[]>
  readonly call: (order: ToolOrder) => Promise<ToolOutcome>
}

export type ToolUpstreamsDeps = ConnectionDeps & { readonly servers: readonly ToolServer[] }

/** Connects lazily: nothing is started before the first list or call. */
export function createToolUpstreams(deps: ToolUpstreamsDeps): ToolUpstreams {
  const connections = new Map(deps.servers.map((server) => [server.id, createToolConnection(deps, server)]))
  const find = (id: string) => {
    const connection = connections.get(id)
    if (!connection) throw new GatewayError('tool-unknown', `There is no tool server ${id}.`)
    return connection
  }
  return {
    servers: () => [...connections.keys()],
    list: async (id, signal) => {
      const use: Use = { server: id, signal, timeoutMs: toolListMs }
      return ask(find(id), use, (client, during) => listTools(client, id, during))
    },
    call: async (order) => {
      const args = argumentsOf(order)
      return ask(find(order.server), order, (client, signal) => callTool(client, order.tool, { args, signal }))
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...connections.values()].map((connection) => connection[Symbol.asyncDispose]()))
    },
  }
}

type Use = { readonly server: string; readonly signal: AbortSignal; readonly timeoutMs: number }

// The deadline counts from here, connecting included. What a server answers as an error is the tool's; anything else is a
// broken connection, which is dropped.
async function ask<T>(
  connection: ToolConnection,
  use: Use,
  run: (client: Client, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  use.signal.throwIfAborted()
  const deadline = AbortSignal.timeout(use.timeoutMs)
  const signal = AbortSignal.any([use.signal, deadline])
  const client = await orAborted(connection.client(), signal).catch((error: unknown) => {
    throw use.signal.aborted ? use.signal.reason : deadline.aborted ? late() : error
  })
  try {
    const answer = await run(client, signal)
    connection.answered()
    return answer
  } catch (error) {
    if (use.signal.aborted) throw use.signal.reason
    if (deadline.aborted) throw late()
    if (error instanceof GatewayError && error.code.startsWith('tool-')) throw error
    if (error instanceof ProtocolError) throw new GatewayError('tool-failed', 'The tool server refused the call.')
    await connection.drop(client)
    throw new GatewayError('tool-server-unavailable', `${use.server} broke off.`)
  }
}

const late = () => new GatewayError('tool-timeout', 'The tool did not answer in time.')

// Somebody else may wait for the same connection: only our waiting ends.
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

// The client's own clock must never be the first: it would not tell a late tool from a broken server.
const clientClockMs = 3_600_000

async function listTools(client: Client, server: string, signal: AbortSignal): Promise<ToolDescription[]> {
  const { tools } = await client.listTools(undefined, { signal, timeout: clientClockMs })
  return tools.slice(0, toolsPerServerMax).map((tool) => ({
    server,
    name: tool.name,
    description: (tool.description ?? '').slice(0, toolDescriptionCharsMax),
    inputSchema: tool.inputSchema as Record<string, unknown>,
    hints: hintsOf(tool.annotations ?? {}),
  }))
}

type Hints = ToolDescription['hints']

const hintsOf = ({
  readOnlyHint,
  destructiveHint,
}: {
  readOnlyHint?: boolean | undefined
  destructiveHint?: boolean | undefined
}): Hints => ({
  ...(readOnlyHint === undefined ? {} : { readOnlyHint }),
  ...(destructiveHint === undefined ? {} : { destructiveHint }),
})

function argumentsOf({ args = {} }: ToolOrder): Record<string, unknown> {
  if (typeof args !== 'object' || args === null || Array.isArray(args))
    throw new GatewayError('tool-arguments-invalid', 'Arguments must be an object.')
  if (Buffer.byteLength(JSON.stringify(args)) > toolArgumentsBytesMax)
    throw new GatewayError('tool-arguments-invalid', `Arguments exceed ${toolArgumentsBytesMax} bytes.`)
  return { ...args }
}

type Calling = { readonly args: Record<string, unknown>; readonly signal: AbortSignal }

async function callTool(client: Client, name: string, { args, signal }: Calling): Promise<ToolOutcome> {
  const result = await client.callTool({ name, arguments: args }, { signal, timeout: clientClockMs })
  const text = textOf(result.content, result.structuredContent)
  if (Buffer.byteLength(text) > toolResultBytesMax)
    throw new GatewayError('tool-result-too-large', `The tool answered more than ${toolResultBytesMax} bytes.`)
  return { text, isError: result.isError === true }
}

// A server that speaks structure repeats it as text; one that does not is read from its structure.
function textOf(content: readonly { readonly type: string; readonly text?: unknown }[], structured: unknown): string {
  if (content.length === 0 && structured !== undefined) return JSON.stringify(structured)
  return content.map(({ type, text }) => (type === 'text' && typeof text === 'string' ? text : `[${type}]`)).join('\n')
}
