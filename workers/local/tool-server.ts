// The workbench: a small MCP server of ours over streamable HTTP on loopback, with a journal of every call. `npm start`
// shows it and suites count by it.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostHeaderValidation, originValidation, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { aborted, runProcess } from '../process.ts'

const notesMax = 1_000
const journalMax = 10_000

export type JournalLine = { readonly seq: number; readonly tool: string; readonly args: unknown; readonly at: string }

type Bench = { readonly notes: Map<string, string>; readonly journal: JournalLine[] }

/** Starts the server; it ends with the signal. */
export async function startToolServer(options: { port: number; signal: AbortSignal }): Promise<{ url: string }> {
  const bench: Bench = { notes: new Map(), journal: [] }
  const handle = toNodeHandler(createMcpHandler(() => makeServer(bench)))
  const local = ['127.0.0.1', 'localhost']
  const guards = [hostHeaderValidation(local), originValidation(local)]
  const server = createServer((request, response) => {
    if (guards.some((guard) => !guard(request, response))) return
    if (request.url === '/journal') {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ calls: bench.journal, notes: bench.notes.size }))
      return
    }
    void handle(request as Parameters<typeof handle>[0], response)
  })
  await new Promise<void>((resolve) => server.listen(options.port, '127.0.0.1', resolve))
  options.signal.addEventListener('abort', () => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` }
}

const reads = { readOnlyHint: true, destructiveHint: false }

const say = (text: string, isError = false) => ({ content: [{ type: 'text' as const, text }], isError })

function makeServer(bench: Bench): McpServer {
  const server = new McpServer({ name: 'workbench', version: '0.1.0' })
  const note = (tool: string, args: unknown) => {
    if (bench.journal.length < journalMax)
      bench.journal.push({ seq: bench.journal.length + 1, tool, args, at: new Date().toISOString() })
  }
  const name = z.string().min(1).max(80)
  server.registerTool(
    'get_sum',
    {
      description: 'Adds two numbers.',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      annotations: reads,
    },
    async (args) => {
      note('get_sum', args)
      return say(`The sum of ${args.a} and ${args.b} is ${args.a + args.b}.`)
    },
  )
  server.registerTool(
    'read_note',
    {
      description: 'Reads a note.',
      inputSchema: z.object({ name }),
      annotations: reads,
    },
    async (args) => {
      note('read_note', args)
      const text = bench.notes.get(args.name)
      return text === undefined ? say(`There is no note ${args.name}.`, true) : say(text)
    },
  )
  server.registerTool(
    'write_note',
    {
      description: 'Writes a note.',
      inputSchema: z.object({ name, text: z.string().max(10_000) }),
      annotations: { readOnlyHint: false, destructiveHint: false },
    },
    async (args) => {
      note('write_note', args)
      if (bench.notes.size >= notesMax) return say('The workbench is full.', true)
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
  return server
}

if (process.argv[1]?.endsWith('tool-server.ts') === true || process.argv[1]?.endsWith('tool-server.js') === true) {
  await runProcess('tool-server', async ({ signal, ready }) => {
    const { url } = await startToolServer({ port: 0, signal })
    ready({ url })
    await aborted(signal)
  })
}
