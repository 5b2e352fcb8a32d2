// One connection to one tool server: made on demand, shared, remade after it broke, and left alone for a while, longer
// each time, when it keeps breaking.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client'
import { GatewayError } from '../../domain/errors.ts'
import {
  toolCallMs,
  toolErrorOutputCharsMax,
  toolListMs,
  toolMessageBytesMax,
  toolServerConnectionsMax,
  toolServerRestMs,
  toolServerRestMsMax,
} from '../../domain/limits.ts'
import type { ToolServer } from '../../schemas/tool.ts'
import type { Logger } from '../../telemetry/log.ts'
import { createUpstreamFetch } from '../upstream.ts'
import { BoundedStdioTransport } from './bounded-stdio.ts'

/** Environment of a stdio child: what programs need to run, nothing that somebody put there for us. */
type ChildEnvironment = { readonly PATH: string; readonly LANG: string; readonly TZ: string }

export type ConnectionDeps = {
  readonly environment: ChildEnvironment
  /** Starts a stdio child in a process group of its own and ends the group when we are gone. */
  readonly guard: { readonly command: string; readonly args: readonly string[] }
  readonly log: Logger
}

export type ToolConnection = AsyncDisposable & {
  /** The client of the living connection. */
  readonly client: () => Promise<Client>
  /** Drops the connection that this client belongs to; a newer one stays. */
  readonly drop: (client: Client) => Promise<void>
  /** The server answered: earlier failures are forgotten. */
  readonly answered: () => void
}

type Opened = { readonly client: Client; readonly forget: () => Promise<void> }
type State = {
  readonly server: ToolServer
  opened: Promise<Opened> | undefined
  failures: number
  failedAt: number
  disposed: boolean
}

export function createToolConnection(deps: ConnectionDeps, server: ToolServer): ToolConnection {
  const state: State = { server, opened: undefined, failures: 0, failedAt: 0, disposed: false }
  return {
    client: async () => (await reuse(deps, state)).client,
    drop: async (client) => {
      const opened = await state.opened?.catch(() => undefined)
      if (opened?.client === client) await close(state, opened)
    },
    answered: () => {
      state.failures = 0
    },
    async [Symbol.asyncDispose]() {
      state.disposed = true
      const opened = await state.opened?.catch(() => undefined)
      if (opened) await close(state, opened)
    },
  }
}

async function reuse(deps: ConnectionDeps, state: State): Promise<Opened> {
  if (state.opened) return state.opened
  refuseWhileResting(state)
  const opening = open(deps, state)
  state.opened = opening
  try {
    return await opening
  } catch (error) {
    if (state.opened === opening) state.opened = undefined
    throw error
  }
}

function refuseWhileResting({ server, failures, failedAt, disposed }: State): void {
  if (disposed) throw new GatewayError('tool-server-unavailable', `${server.id} is closed.`)
  if (failures === 0) return
  const restMs = Math.min(toolServerRestMs * 2 ** (failures - 1), toolServerRestMsMax)
  const retryAfterMs = Math.ceil(failedAt + restMs - performance.now())
  if (retryAfterMs > 0)
    throw new GatewayError('tool-server-unavailable', `${server.id} failed a moment ago.`, { retryAfterMs })
}

async function open(deps: ConnectionDeps, state: State): Promise<Opened> {
  const { server } = state
  const { transport, forget, lastWords } = await transportOf(deps, server)
  // stdio servers of today speak the older era; probing them costs a second process and a second of time.
  const mode = server.transport.kind === 'stdio' ? 'legacy' : 'auto'
  const client = new Client({ name: 'gatehouse', version: '0.1.0' }, { versionNegotiation: { mode } })
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the client has one handler and is no event target
  client.onerror = (error) => deps.log.debug({ server: server.id, reason: error.message }, 'a tool server complains')
  try {
    await client.connect(transport, { timeout: toolListMs })
  } catch (error) {
    fail(state)
    await client.close().catch(() => undefined)
    await forget()
    deps.log.warn({ server: server.id, err: error, said: lastWords() }, 'a tool server cannot be reached')
    throw new GatewayError('tool-server-unavailable', `${server.id} cannot be reached.`)
  }
  const opened: Opened = { client, forget }
  const self = state.opened
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- as above
  client.onclose = () => {
    void forget()
    if (state.opened !== self || self === undefined) return
    state.opened = undefined
    fail(state)
    deps.log.warn({ server: server.id, said: lastWords() }, 'a tool server ended')
  }
  deps.log.info({ server: server.id }, 'tool server connected')
  return opened
}

function fail(state: State): void {
  state.failures += 1
  state.failedAt = performance.now()
}

async function close(state: State, opened: Opened): Promise<void> {
  state.opened = undefined
  await opened.client.close().catch(() => undefined)
  await opened.forget()
}

type Opening = {
  readonly transport: Transport
  readonly forget: () => Promise<void>
  readonly lastWords: () => string | undefined
}

async function transportOf(deps: ConnectionDeps, { transport }: ToolServer): Promise<Opening> {
  if (transport.kind === 'stdio') return stdioTransport(deps, transport)
  const fetch = createUpstreamFetch({
    allowLoopback: true,
    allowPrivate: transport.private === true,
    connectionsMax: toolServerConnectionsMax,
    responseBytesMax: toolMessageBytesMax,
    tooLarge: () => new GatewayError('tool-result-too-large', 'The tool server answered too much.'),
    silenceMs: toolCallMs * 2, // a call ends at its own deadline before
  })
  return {
    transport: new StreamableHTTPClientTransport(new URL(transport.url), { fetch }),
    forget: async () => undefined,
    lastWords: () => undefined,
  }
}

type Stdio = { readonly command: string; readonly args: readonly string[] }

async function stdioTransport(deps: ConnectionDeps, { command, args }: Stdio): Promise<Opening> {
  const home = await mkdtemp(join(tmpdir(), 'gatehouse-tool-'))
  const transport = new BoundedStdioTransport({
    command: deps.guard.command,
    args: [...deps.guard.args, command, ...args],
    env: { ...deps.environment, HOME: home, TMPDIR: home },
    cwd: home,
    stderr: 'pipe',
    maxBufferSize: toolMessageBytesMax,
  })
  let said = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-toolErrorOutputCharsMax)
  })
  return { transport, forget: () => rm(home, { recursive: true, force: true }), lastWords: () => said }
}
