// The workbench: a small MCP server of ours over streamable HTTP on loopback, with a journal of every call. `npm start`
// shows it and suites count by it.
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { runProcess } from '../process.ts'
import { isEntry, loopbackProcess, sendJson, serveLoopback, type LoopbackOptions } from './loopback.ts'

const notesMax = 1_000
const journalMax = 10_000

/** Header names with a credential or a trace in them: a suite looks here for what must not have been forwarded. */
const headersOfInterest = /^(?:authorization|cookie|x-api-key|x-auth-|x-gatehouse-|traceparent|mcp-|user-agent)/

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

type JournalLine = {
  readonly seq: number
  readonly tool: string
  readonly args: unknown
  readonly at: string
  readonly headers: Headers
}

type Bench = { calls: number; readonly notes: Map<string, string>; readonly journal: JournalLine[] }

/** Starts the server; it ends with the signal. */
export async function startToolServer(options: LoopbackOptions): Promise<{ url: string }> {
  const bench: Bench = { calls: 0, notes: new Map(), journal: [] }
  const handle = toNodeHandler(
    createMcpHandler(({ requestInfo }) => makeServer(bench, Object.fromEntries(requestInfo?.headers ?? []))),
  )
  const origin = await serveLoopback(options, async (request, response) => {
    if (request.method === 'GET' && request.url === '/journal')
      return sendJson(response, 200, { total: bench.calls, calls: bench.journal, notes: bench.notes.size })
    if (request.url !== '/mcp') return sendJson(response, 404, { error: 'There is no such route.' })
    return handle(request as Parameters<typeof handle>[0], response)
  })
  return { url: `${origin}/mcp` }
}

function makeServer(bench: Bench, received: Headers): McpServer {
  const headers = Object.fromEntries(Object.entries(received).filter(([name]) => headersOfInterest.test(name)))
  const server = new McpServer({ name: 'workbench', version: '0.1.0' })
  const note = (tool: string, args: unknown) => {
    bench.calls += 1
    const line: JournalLine = { seq: bench.calls, tool, args, at: new Date().toISOString(), headers }
    if (bench.journal.length < journalMax) bench.journal.push(line)
  }
  registerReads(server, bench, note)
  registerWrites(server, bench, note)
  return server
}

type Note = (tool: string, args: unknown) => void

const say = (text: string, isError = false) => ({ content: [{ type: 'text' as const, text }], isError })
const name = z.string().min(1).max(80)

function registerReads(server: McpServer, bench: Bench, note: Note): void {
  const annotations = { readOnlyHint: true, destructiveHint: false }
  server.registerTool(
    'get_sum',
    { description: 'Adds two numbers.', inputSchema: z.object({ a: z.number(), b: z.number() }), annotations },
    async (args) => {
      note('get_sum', args)
      return say(`The sum of ${args.a} and ${args.b} is ${args.a + args.b}.`)
    },
  )
  server.registerTool(
    'read_note',
    { description: 'Reads a note.', inputSchema: z.object({ name }), annotations },
    async (args) => {
      note('read_note', args)
      const text = bench.notes.get(args.name)
      return text === undefined ? say(`There is no note ${args.name}.`, true) : say(text)
    },
  )
}

function registerWrites(server: McpServer, bench: Bench, note: Note): void {
  server.registerTool(
    'write_note',
    {
      description: 'Writes a note.',
      inputSchema: z.object({ name, text: z.string().max(10_000) }),
      annotations: { readOnlyHint: false, destructiveHint: false },
    },
    async (args) => {
      note('write_note', args)
      if (bench.notes.size >= notesMax && !bench.notes.has(args.name)) return say('The workbench is full.', true)
      bench.notes.set(args.name, args.text)
      return say(`Wrote ${args.name}.`)
    },
  )
  server.registerTool(
    'delete_note',
    {
      description: 'Deletes a note for good.',
      inputSchema: z.object({ name }),
      annotations: { readOnlyHint: false, destructiveHint: true },
    },
    async (args) => {
      note('delete_note', args)
      return say(bench.notes.delete(args.name) ? `Deleted ${args.name}.` : `There is no note ${args.name}.`)
    },
  )
}

if (isEntry('tool-server')) await runProcess('tool-server', loopbackProcess(startToolServer))
