// Tool servers over MCP: stdio children of ours and streamable HTTP servers, one pooled connection each, remade after it
// broke. A child sees an allow-listed environment and a home of its own; nobody ever sees a caller's credential.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, ProtocolError, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { GatewayError } from '../domain/errors.ts'
import {
  toolArgumentsBytesMax,
  toolListMs,
  toolResultBytesMax,
  toolServerRestMs,
  toolsPerServerMax,
} from '../domain/limits.ts'
import type { ToolDescription, ToolOutcome, ToolServer } from '../schemas/tool.ts'
import type { Logger } from '../telemetry/log.ts'

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

type Connection = { readonly client: Client; readonly home: string | undefined }

type Upstream = { readonly server: ToolServer; connection: Promise<Connection> | undefined; failedAt: number }

/** Environment of a stdio child: what programs need to run, nothing that somebody put there for us. */
export type ChildEnvironment = { readonly PATH: string; readonly LANG: string; readonly TZ: string }

export type ToolUpstreamsDeps = {
  readonly servers: readonly ToolServer[]
  readonly environment: ChildEnvironment
  readonly log: Logger
}

/** Connects lazily: nothing is started before the first list or call. */
export function createToolUpstreams(deps: ToolUpstreamsDeps): ToolUpstreams {
  const upstreams = new Map(deps.servers.map((server) => [server.id, { server, connection: undefined, failedAt: 0 }]))
  const find = (id: string) => {
    const upstream = upstreams.get(id)
    if (!upstream) throw new GatewayError('tool-unknown', `There is no tool server ${id}.`)
    return upstream
  }
  return {
    servers: () => [...upstreams.keys()],
    list: async (id, signal) => listTools(deps, find(id), signal),
    call: async (order) => callTool(deps, find(order.server), order),
    async [Symbol.asyncDispose]() {
      for (const upstream of upstreams.values()) await disconnect(upstream)
    },
  }
}

async function listTools(deps: ToolUpstreamsDeps, upstream: Upstream, signal: AbortSignal): Promise<ToolDescription[]> {
  const { client } = await connected(deps, upstream)
  try {
    const { tools } = await client.listTools(undefined, { signal, timeout: toolListMs })
    return tools.slice(0, toolsPerServerMax).map((tool) => ({
      server: upstream.server.id,
      name: tool.name,
      description: tool.description ?? '',
      inputSchema: tool.inputSchema as Record<string, unknown>,
      hints: {
        ...(tool.annotations?.readOnlyHint === undefined ? {} : { readOnlyHint: tool.annotations.readOnlyHint }),
        ...(tool.annotations?.destructiveHint === undefined
          ? {}
          : { destructiveHint: tool.annotations.destructiveHint }),
      },
    }))
  } catch (error) {
    throw await faultOf(upstream, error, signal)
  }
}

async function callTool(deps: ToolUpstreamsDeps, upstream: Upstream, order: ToolOrder): Promise<ToolOutcome> {
  if (JSON.stringify(order.args ?? {}).length > toolArgumentsBytesMax) {
    throw new GatewayError('tool-arguments-invalid', `Arguments exceed ${toolArgumentsBytesMax} bytes.`)
  }
  const { client } = await connected(deps, upstream)
  const deadline = AbortSignal.timeout(order.timeoutMs)
  const signal = AbortSignal.any([order.signal, deadline])
  try {
    const params = { name: order.tool, arguments: (order.args ?? {}) as Record<string, unknown> }
    const result = await client.callTool(params, { signal, timeout: order.timeoutMs })
    const text = textOf(result.content)
    if (Buffer.byteLength(text) > toolResultBytesMax) {
      throw new GatewayError('tool-result-too-large', `The tool answered more than ${toolResultBytesMax} bytes.`)
    }
    return { text, isError: result.isError === true }
  } catch (error) {
    if (deadline.aborted && !order.signal.aborted)
      throw new GatewayError('tool-timeout', 'The tool did not answer in time.')
    throw await faultOf(upstream, error, order.signal)
  }
}

function textOf(content: readonly unknown[]): string {
  return content
    .map((block) => {
      const { type, text } = block as { type: string; text?: unknown }
      return type === 'text' && typeof text === 'string' ? text : `[${type}]`
    })
    .join('\n')
}

async function connected(deps: ToolUpstreamsDeps, upstream: Upstream): Promise<Connection> {
  upstream.connection ??= connect(deps, upstream)
  try {
    return await upstream.connection
  } catch (error) {
    upstream.connection = undefined
    throw error
  }
}

async function connect(deps: ToolUpstreamsDeps, upstream: Upstream): Promise<Connection> {
  const { id } = upstream.server
  if (performance.now() - upstream.failedAt < toolServerRestMs && upstream.failedAt !== 0) {
    throw new GatewayError('tool-server-unavailable', `${id} failed a moment ago.`, { retryAfterMs: toolServerRestMs })
  }
  const { transport, home } = await transportOf(deps, upstream.server)
  // stdio servers of today speak the older era; probing them costs a second process and a second of time.
  const mode = upstream.server.transport.kind === 'stdio' ? 'legacy' : 'auto'
  const client = new Client({ name: 'gatehouse', version: '0.1.0' }, { versionNegotiation: { mode } })
  client.onclose = () => {
    upstream.connection = undefined
    if (home !== undefined) void rm(home, { recursive: true, force: true })
  }
  client.onerror = (error) => deps.log.debug({ server: id, reason: error.message }, 'a tool server complains')
  try {
    await client.connect(transport, { timeout: toolListMs })
    deps.log.info({ server: id }, 'tool server connected')
    return { client, home }
  } catch (error) {
    upstream.failedAt = performance.now()
    await client.close().catch(() => undefined)
    if (home !== undefined) await rm(home, { recursive: true, force: true })
    deps.log.warn({ server: id, err: error }, 'a tool server cannot be reached')
    throw new GatewayError('tool-server-unavailable', `${id} cannot be reached.`)
  }
}

async function transportOf(
  deps: ToolUpstreamsDeps,
  server: ToolServer,
): Promise<{ transport: Transport; home: string | undefined }> {
  if (server.transport.kind === 'http') {
    return { transport: new StreamableHTTPClientTransport(new URL(server.transport.url)), home: undefined }
  }
  const home = await mkdtemp(join(tmpdir(), 'gatehouse-tool-'))
  const { command, args } = server.transport
  // The client's own defaults (SHELL, USER, …) are overwritten, so that the child sees just this list.
  const env = {
    ...deps.environment,
    HOME: home,
    TMPDIR: home,
    SHELL: '/bin/false',
    USER: 'tool',
    LOGNAME: 'tool',
    TERM: 'dumb',
  }
  const transport = new StdioClientTransport({ command, args, env, cwd: home, stderr: 'ignore' })
  return { transport, home }
}

async function disconnect(upstream: Upstream): Promise<void> {
  const connection = await upstream.connection?.catch(() => undefined)
  if (!connection) return
  await connection.client.close().catch(() => undefined)
  if (connection.home !== undefined) await rm(connection.home, { recursive: true, force: true })
}

// What a server answers as an error is the tool's; anything else is a broken connection, which is dropped.
async function faultOf(upstream: Upstream, error: unknown, signal: AbortSignal): Promise<unknown> {
  if (error instanceof GatewayError) return error
  if (signal.aborted) return signal.reason
  if (error instanceof ProtocolError) return new GatewayError('tool-failed', 'The tool server refused the call.')
  const broken = upstream.connection
  upstream.connection = undefined
  await broken?.then(({ client }) => client.close()).catch(() => undefined)
  return new GatewayError('tool-server-unavailable', `${upstream.server.id} broke off.`)
}
