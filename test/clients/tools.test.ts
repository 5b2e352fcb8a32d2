import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createToolUpstreams, type ToolUpstreams } from '../../clients/tools.ts'
import { createLogger } from '../../telemetry/log.ts'
import { startToolServer } from '../../workers/local/tool-server.ts'

const ending = new AbortController()
const signal = new AbortController().signal
let tools: ToolUpstreams
let journal: string

beforeAll(async () => {
  const { url } = await startToolServer({ port: 0, signal: ending.signal })
  journal = url.replace('/mcp', '/journal')
  process.env['PLANTED_VARIABLE'] = 'planted-value'
  const entry = fileURLToPath(
    new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
  )
  tools = createToolUpstreams({
    servers: [
      { id: 'everything', title: 'x', transport: { kind: 'stdio', command: process.execPath, args: [entry, 'stdio'] } },
      { id: 'workbench', title: 'x', transport: { kind: 'http', url } },
      { id: 'absent', title: 'x', transport: { kind: 'http', url: 'http://127.0.0.1:9/mcp' } },
    ],
    environment: { PATH: process.env['PATH'] ?? '', LANG: 'C', TZ: 'UTC' },
    log: createLogger({ level: 'silent', name: 'test' }),
  })
})

afterAll(async () => {
  delete process.env['PLANTED_VARIABLE']
  await tools[Symbol.asyncDispose]()
  ending.abort()
})

const call = (server: string, tool: string, args: unknown) =>
  tools.call({ server, tool, args, signal, timeoutMs: 10_000 })

test('an unknown server, oversized arguments and an absent server are refused', async () => {
  await expect(call('nowhere', 'x', {})).rejects.toMatchObject({ code: 'tool-unknown' })
  await expect(call('workbench', 'write_note', { name: 'n', text: 'x'.repeat(100_001) })).rejects.toMatchObject({
    code: 'tool-arguments-invalid',
  })
  await expect(call('absent', 'x', {})).rejects.toMatchObject({ code: 'tool-server-unavailable' })
})

test('a stdio child sees no planted variable and a home of its own', async () => {
  const { text } = await call('everything', 'get-env', {})
  expect(text).not.toContain('planted')
  expect(text).toContain('gatehouse-tool-')
})

test('a slow tool ends at its deadline', async () => {
  const startedAt = performance.now()
  const order = { server: 'everything', tool: 'trigger-long-running-operation', args: { duration: 20, steps: 2 } }
  const slow = tools.call({ ...order, signal, timeoutMs: 300 })
  await expect(slow).rejects.toMatchObject({ code: 'tool-timeout' })
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})

test('both transports list and call, and the journal shows the call', async () => {
  expect((await tools.list('everything', signal)).map((tool) => tool.name)).toContain('get-sum')
  expect((await call('everything', 'get-sum', { a: 17, b: 25 })).text).toContain('42')
  expect(
    (await tools.list('workbench', signal)).find((tool) => tool.name === 'delete_note')?.hints.destructiveHint,
  ).toBe(true)
  expect((await call('workbench', 'get_sum', { a: 1.5, b: 2 })).text).toContain('3.5')
  const { calls } = (await (await fetch(journal)).json()) as { calls: { tool: string; args: unknown }[] }
  expect(calls).toMatchObject([{ tool: 'get_sum', args: { a: 1.5, b: 2 } }])
})

test('a tool that fails says so as a result, and bad arguments too', async () => {
  expect(await call('workbench', 'read_note', { name: 'nothing' })).toMatchObject({ isError: true })
})
