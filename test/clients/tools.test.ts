import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createToolUpstreams, type ToolUpstreams } from '../../clients/tools.ts'
import { toolUnreadBytesMax } from '../../domain/limits.ts'
import type { ToolServer } from '../../schemas/tool.ts'
import { createLogger } from '../../telemetry/log.ts'
import { serveLoopback } from '../../workers/local/loopback.ts'
import { startToolServer } from '../../workers/local/tool-server.ts'

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const entry = file('node_modules/@modelcontextprotocol/server-everything/dist/index.js')
const guard = { command: process.execPath, args: [file('workers/local/stdio-guard.mjs')] }
const everything: ToolServer = {
  id: 'everything',
  title: 'x',
  transport: { kind: 'stdio', command: process.execPath, args: [entry, 'stdio'] },
}
const ending = new AbortController()
const signal = new AbortController().signal
const notes = mkdtempSync(join(tmpdir(), 'tools-test-'))
let tools: ToolUpstreams
let journal: string

const upstreams = (servers: readonly ToolServer[]) =>
  createToolUpstreams({
    servers,
    environment: { PATH: process.env['PATH'] ?? '', LANG: 'C', TZ: 'UTC' },
    guard,
    log: createLogger({ level: 'silent', name: 'test' }),
  })

// A stdio server as small as can be: it answers the opening, writes its pids down, and does what its one tool says.
const small = join(notes, 'small.mjs')
writeFileSync(
  small,
  `import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
const grandchild = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'])
writeFileSync(process.argv[2], [process.pid, grandchild.pid, process.env.HOME].join(' '))
process.on('SIGTERM', () => {})
setInterval(() => {}, 1000)
const say = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n')
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  if (method === 'initialize') say(id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } })
  if (method !== 'tools/call') return
  if (params.name === 'die') process.exit(3)
  if (params.name === 'flood') process.stdout.write('x'.repeat(17_000_000))
  if (params.name === 'large') say(id, { content: [{ type: 'text', text: 'x'.repeat(12_000_001) }] })
  if (params.name === 'hi') say(id, { content: [{ type: 'text', text: 'hi' }] })
})
`,
)
const smallServer = (name: string): ToolServer => ({
  id: name,
  title: 'x',
  transport: { kind: 'stdio', command: process.execPath, args: [small, join(notes, name)] },
})
const written = (name: string) => {
  const [pid = '', grandchild = '', home = ''] = readFileSync(join(notes, name), 'utf8').split(' ')
  return { pids: [Number(pid), Number(grandchild)], home }
}
const alive = (pid: number) => {
  const state = execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim()
  return !state.startsWith('Z')
}
const living = (pids: readonly number[]) =>
  pids.filter((pid) => {
    try {
      return alive(pid)
    } catch {
      return false
    }
  })

beforeAll(async () => {
  const { url } = await startToolServer({ port: 0, signal: ending.signal })
  journal = url.replace('/mcp', '/journal')
  process.env['PLANTED_VARIABLE'] = 'planted-value'
  tools = upstreams([
    everything,
    { id: 'workbench', title: 'x', transport: { kind: 'http', url } },
    { id: 'absent', title: 'x', transport: { kind: 'http', url: 'http://127.0.0.1:9/mcp' } },
    { id: 'metadata', title: 'x', transport: { kind: 'http', url: 'http://169.254.169.254/mcp', private: true } },
    { id: 'gone', title: 'x', transport: { kind: 'stdio', command: '/nowhere/at-all', args: [] } },
  ])
})

afterAll(async () => {
  delete process.env['PLANTED_VARIABLE']
  await tools[Symbol.asyncDispose]()
  ending.abort()
  rmSync(notes, { recursive: true, force: true })
})

const call = (server: string, tool: string, args: unknown) =>
  tools.call({ server, tool, args, signal, timeoutMs: 10_000 })

test('an unknown server and unusable arguments are refused before anything is sent', async () => {
  await expect(call('nowhere', 'x', {})).rejects.toMatchObject({ code: 'tool-unknown' })
  for (const args of [{ name: 'n', text: 'é'.repeat(50_001) }, 'text', [1]])
    await expect(call('workbench', 'write_note', args)).rejects.toMatchObject({ code: 'tool-arguments-invalid' })
})

test('a server that is absent, forbidden or cannot be started is unavailable, and left alone for a while', async () => {
  for (const server of ['absent', 'metadata', 'gone']) {
    await expect(call(server, 'x', {})).rejects.toMatchObject({ code: 'tool-server-unavailable' })
    const again = await call(server, 'x', {}).catch((error: unknown) => error)
    expect(again).toMatchObject({ code: 'tool-server-unavailable', retryAfterMs: expect.any(Number) as number })
  }
})

test('a stdio child sees the allowed variables and a home of its own, nothing else', async () => {
  const { text } = await call('everything', 'get-env', {})
  const seen = JSON.parse(text) as Record<string, string>
  expect(Object.keys(seen).toSorted()).toEqual(['HOME', 'LANG', 'PATH', 'TMPDIR', 'TZ'])
  expect(text).not.toContain('planted')
  expect(seen['HOME']).toContain('gatehouse-tool-')
})

test('a hung tool ends at its deadline and the connection goes on for the others', async () => {
  const startedAt = performance.now()
  const tool = 'trigger-long-running-operation'
  const args = { duration: 20, steps: 2 }
  const slow = tools.call({ server: 'everything', tool, args, signal, timeoutMs: 300 })
  const other = call('everything', tool, { duration: 1, steps: 1 })
  await expect(slow).rejects.toMatchObject({ code: 'tool-timeout' })
  expect(performance.now() - startedAt).toBeLessThan(900)
  expect(await other).toMatchObject({ isError: false })
})

test('an abort ends a call with its reason', async () => {
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('stopped')), 100)
  const order = { server: 'everything', tool: 'trigger-long-running-operation', timeoutMs: 10_000 }
  await expect(tools.call({ ...order, args: { duration: 20, steps: 2 }, signal: stop.signal })).rejects.toThrow(
    'stopped',
  )
})

test('a result beyond its bound is refused over both transports', async () => {
  const text = 'x'.repeat(12_000_001)
  const serve = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: 'large', version: '1' })
      for (const [name, times] of [
        ['large', 12],
        ['flood', 17],
      ] as const)
        server.registerTool(name, { inputSchema: z.object({}) }, async () => ({
          content: [{ type: 'text', text: text.repeat(times) }],
        }))
      return server
    }),
  )
  const origin = await serveLoopback({ port: 0, signal: ending.signal }, (request, response) =>
    serve(request as Parameters<typeof serve>[0], response),
  )
  await using own = upstreams([
    { id: 'http', title: 'x', transport: { kind: 'http', url: `${origin}/mcp` } },
    smallServer('stdio'),
  ])
  for (const server of ['http', 'stdio']) {
    const ask = (tool: string) => own.call({ server, tool, args: {}, signal, timeoutMs: 10_000 })
    await expect(ask('large')).rejects.toMatchObject({ code: 'tool-result-too-large' })
    // Over stdio nobody can tell whose answer floods the pipe: the child is given up.
    const code = server === 'http' ? 'tool-result-too-large' : 'tool-server-unavailable'
    await expect(ask('flood')).rejects.toMatchObject({ code })
  }
})

test('dispose leaves no process, not of those that ignore a signal, and no home', async () => {
  const own = upstreams([smallServer('stubborn')])
  await own.call({ server: 'stubborn', tool: 'hi', args: {}, signal, timeoutMs: 5_000 })
  const { pids, home } = written('stubborn')
  expect(living(pids)).toEqual(pids)
  await own[Symbol.asyncDispose]()
  await expect.poll(() => living(pids), { timeout: 3_000 }).toEqual([])
  expect(existsSync(home)).toBe(false)
  await expect(own.call({ server: 'stubborn', tool: 'hi', args: {}, signal, timeoutMs: 5_000 })).rejects.toMatchObject({
    code: 'tool-server-unavailable',
  })
})

test('a killed worker leaves no process of its stdio servers', async () => {
  const path = join(notes, 'orphaned')
  const run = `const { spawn } = require('node:child_process')
    const args = ${JSON.stringify([...guard.args, process.execPath, small, path])}
    spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'ignore'] })
    setInterval(() => {}, 1000)`
  const worker = spawn(process.execPath, ['-e', run], { stdio: 'ignore' })
  await expect.poll(() => existsSync(path) && living(written('orphaned').pids).length, { timeout: 3_000 }).toBe(2)
  worker.kill('SIGKILL')
  await expect.poll(() => living(written('orphaned').pids), { timeout: 3_000 }).toEqual([])
})

// Answers the opening and never reads again.
const deaf = join(notes, 'deaf.mjs')
writeFileSync(
  deaf,
  `import { writeFileSync } from 'node:fs'
writeFileSync(process.argv[2], [process.pid, process.pid, process.env.HOME].join(' '))
setInterval(() => {}, 1000)
process.stdin.on('data', (chunk) => {
  const id = /"id":(\\d+)/.exec(chunk.toString())?.[1]
  if (id === undefined || !chunk.toString().includes('initialize"')) return process.stdin.pause()
  const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } }
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id: Number(id), result }) + '\\n')
})
`,
)

test('a server that no longer reads is given up when too much waits for it', async () => {
  const args = [deaf, join(notes, 'deaf')]
  await using own = upstreams([
    { id: 'deaf', title: 'x', transport: { kind: 'stdio', command: process.execPath, args } },
  ])
  const codes: string[] = []
  for (let round = 0; round < 60 && codes.at(-1) !== 'tool-server-unavailable'; round += 1) {
    const order = {
      server: 'deaf',
      tool: 'write',
      args: { text: 'x'.repeat(99_000) },
      signal,
      timeoutMs: round === 0 ? 2_000 : 20,
    }
    codes.push(await own.call(order).then(String, (error: { code: string }) => error.code))
  }
  expect(new Set(codes)).toEqual(new Set(['tool-timeout', 'tool-server-unavailable']))
  expect(codes.length).toBeGreaterThan(toolUnreadBytesMax / 100_000 - 2)
  await expect.poll(() => living(written('deaf').pids), { timeout: 3_000 }).toEqual([])
})

test('a killed worker leaves no process of a server that no longer read what it was sent', async () => {
  const path = join(notes, 'deaf-orphan')
  const run = `const { spawn } = require('node:child_process')
    const args = ${JSON.stringify([...guard.args, process.execPath, deaf, path])}
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'ignore'] })
    child.stdin.write('x'.repeat(1_000_000))
    setInterval(() => {}, 1000)`
  const worker = spawn(process.execPath, ['-e', run], { stdio: 'ignore' })
  await expect.poll(() => existsSync(path) && living(written('deaf-orphan').pids).length, { timeout: 3_000 }).toBe(2)
  await new Promise((resolve) => setTimeout(resolve, 300))
  worker.kill('SIGKILL')
  await expect.poll(() => living(written('deaf-orphan').pids), { timeout: 4_000 }).toEqual([])
})

test('a child that died is started again after a rest, and its group and home are gone', async () => {
  await using own = upstreams([smallServer('mortal')])
  const ask = (tool: string) => own.call({ server: 'mortal', tool, args: {}, signal, timeoutMs: 5_000 })
  expect(await ask('hi')).toEqual({ text: 'hi', isError: false })
  const { pids, home } = written('mortal')
  await expect(ask('die')).rejects.toMatchObject({ code: 'tool-server-unavailable' })
  await expect(ask('hi')).rejects.toMatchObject({ retryAfterMs: expect.any(Number) as number })
  await expect.poll(() => living(pids)).toEqual([])
  await expect.poll(() => existsSync(home)).toBe(false)
  await expect.poll(() => ask('hi').catch(() => undefined), { timeout: 4_000, interval: 200 }).toBeDefined()
  expect(written('mortal').pids).not.toEqual(pids)
})

test('both transports list and call, and the journal shows the call without a credential', async () => {
  expect((await tools.list('everything', signal)).map((tool) => tool.name)).toContain('get-sum')
  expect((await call('everything', 'get-sum', { a: 17, b: 25 })).text).toBe('The sum of 17 and 25 is 42.')
  expect(
    (await tools.list('workbench', signal)).find((tool) => tool.name === 'delete_note')?.hints.destructiveHint,
  ).toBe(true)
  expect((await call('workbench', 'get_sum', { a: 1.5, b: 2 })).text).toContain('3.5')
  type Journal = { total: number; calls: { tool: string; args: unknown; headers: Record<string, string> }[] }
  const { total, calls } = (await (await fetch(journal)).json()) as Journal
  expect({ total, calls }).toMatchObject({ total: 1, calls: [{ tool: 'get_sum', args: { a: 1.5, b: 2 } }] })
  expect(Object.keys(calls[0]?.headers ?? {}).filter((name) => !/^(?:mcp-|user-agent)/.test(name))).toEqual([])
})

test('a tool that fails says so as a result', async () => {
  expect(await call('workbench', 'read_note', { name: 'nothing' })).toMatchObject({ isError: true })
})

test('the workbench opens for no strange host, no strange page and no other path', async () => {
  const origin = journal.replace('/journal', '')
  const reply = await fetch(journal, { headers: { origin: 'https://page.example' } })
  expect(reply.status).toBe(403)
  expect((await fetch(`${origin}/elsewhere`)).status).toBe(404)
})
