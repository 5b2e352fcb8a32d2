import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ModelJournalLine } from '../../workers/local/scripted-control.ts'
import { startScriptedModel } from '../../workers/local/scripted-model.ts'

const ending = new AbortController()
let url: string
let vendor: Anthropic

beforeAll(async () => {
  ;({ url } = await startScriptedModel({ port: 0, signal: ending.signal }))
  vendor = new Anthropic({ baseURL: url, apiKey: 'any', authToken: null, maxRetries: 0 })
})
afterAll(() => ending.abort())
beforeEach(() => control({}))

const control = (settings: object) => fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(settings) })

const send = (body: unknown, headers: Record<string, string> = { 'x-api-key': 'any' }) =>
  fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

const journal = async () =>
  (await (await fetch(`${url}/journal`)).json()) as { total: number; requests: ModelJournalLine[] }

const asking = (text: string, tools: string[] = []) => ({
  model: 'scripted-1',
  max_tokens: 500,
  messages: [{ role: 'user' as const, content: text }],
  tools: tools.map((name) => ({ name, input_schema: { type: 'object' as const } })),
})

test.each([
  { what: 'no credential', body: asking('hello'), headers: {}, status: 401, type: 'authentication_error' },
  { what: 'no JSON', body: '{', status: 400, type: 'invalid_request_error' },
  { what: 'no message', body: { ...asking('hello'), messages: [] }, status: 400, type: 'invalid_request_error' },
  { what: 'no limit', body: { ...asking('x'), max_tokens: undefined }, status: 400, type: 'invalid_request_error' },
])("$what is refused in the vendor's shape", async ({ body, headers, status, type }) => {
  const before = (await journal()).total
  const reply = await send(body, headers)
  expect(reply.status).toBe(status)
  expect(await reply.json()).toMatchObject({ type: 'error', error: { type }, request_id: expect.any(String) as string })
  expect((await journal()).total).toBe(before)
})

test('a strange page, a strange path and an unknown directive are refused', async () => {
  expect((await fetch(`${url}/journal`, { headers: { origin: 'https://page.example' } })).status).toBe(403)
  expect((await fetch(`${url}/v1/elsewhere`, { headers: { 'x-api-key': 'any' } })).status).toBe(404)
  expect((await control({ holdd: true })).status).toBe(400)
})

test("a directed failure counts down and carries the vendor's type and wait", async () => {
  await control({ fail: { times: 1, status: 429, retryAfterSeconds: 3 } })
  const reply = await send(asking('hello'))
  expect([reply.status, reply.headers.get('retry-after')]).toEqual([429, '3'])
  expect(await reply.json()).toMatchObject({ error: { type: 'rate_limit_error' } })
  expect((await send(asking('hello'))).status).toBe(200)
})

test('held answers wait for the release, all of them', async () => {
  await control({ hold: true })
  const before = (await journal()).total
  const replies = Promise.all(Array.from({ length: 20 }, (_, at) => send(asking(`hello ${at}`))))
  await expect.poll(async () => (await journal()).total).toBe(before + 20)
  expect((await journal()).requests.slice(-20).every((line) => line.outcome === 'held')).toBe(true)
  await control({})
  expect((await replies).map((reply) => reply.status)).toEqual(Array.from({ length: 20 }, () => 200))
})

test("the events come in the vendor's order", async () => {
  const text = await (await send({ ...asking('hello'), stream: true })).text()
  const types = [...text.matchAll(/^event: (\w+)$/gm)].map(([, type]) => type)
  const deltas = types.filter((type) => type === 'content_block_delta')
  expect(deltas.length).toBeGreaterThan(3)
  const before = ['message_start', 'ping', 'content_block_start']
  expect(types).toEqual([...before, ...deltas, 'content_block_stop', 'message_delta', 'message_stop'])
})

test("the vendor's own client reads streams, whole answers, counts and models", async () => {
  const streamed = await vendor.messages.stream(asking('hello')).finalMessage()
  const whole = await vendor.messages.create(asking('hello'))
  expect(streamed.content).toEqual(whole.content)
  expect(streamed.usage).toMatchObject({ input_tokens: whole.usage.input_tokens })
  expect(whole.content[0]).toMatchObject({ text: expect.stringContaining('scripted model') as string })
  expect(whole.content[0]).toMatchObject({ text: expect.stringContaining('"hello"') as string })
  const { max_tokens: _limit, ...counted } = asking('hello')
  expect(await vendor.messages.countTokens(counted)).toEqual({ input_tokens: whole.usage.input_tokens })
  expect((await vendor.models.list()).data.map((model) => model.id)).toEqual(['scripted-1'])
})

test.each([
  ['add 2 and 40 with the tool', 'everything__get-sum', { a: 2, b: 40 }],
  ['what is 17 plus 25', 'everything__get-sum', { a: 17, b: 25 }],
  ['add 1 and 2 with the workbench', 'workbench__get_sum', { a: 1, b: 2 }],
  ['write a note called plan that says hello', 'workbench__write_note', { name: 'plan' }],
  ['delete the note called plan', 'workbench__delete_note', { name: 'plan' }],
])('"%s" asks for %s', async (text, name, input) => {
  const tools = ['everything__get-sum', 'workbench__get_sum', 'workbench__write_note']
  const { content, stop_reason } = await vendor.messages.stream(asking(text, tools)).finalMessage()
  expect(stop_reason).toBe('tool_use')
  expect(content[0]).toMatchObject({ type: 'tool_use', name, input })
})

test('without the tool it says what it is; after a result it says the result', async () => {
  expect((await vendor.messages.create(asking('add 2 and 40'))).stop_reason).toBe('end_turn')
  const { content } = await vendor.messages.create({
    ...asking('x'),
    messages: [
      { role: 'user', content: 'add 2 and 40' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'everything__get-sum', input: {} }] },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: 't', content: 'The sum of 2 and 40 is 42.' }],
      },
    ],
  })
  expect(content[0]).toMatchObject({ text: 'The sum of 2 and 40 is 42.' })
})

test('as a process of its own it tells its address, keeps a given port and ends with its parent', async () => {
  const start = (port: string) => {
    const path = fileURLToPath(new URL('../../workers/local/scripted-model.ts', import.meta.url))
    const child = fork(path, ['--port', port], { execArgv: ['--import', 'tsx'], stdio: 'ignore' })
    const gone = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const told = new Promise<string>((resolve) =>
      child.once('message', (message) => resolve((message as { url: string }).url)),
    )
    return { child, gone, told }
  }
  const first = start('0')
  const address = await first.told
  first.child.kill('SIGTERM')
  expect(await first.gone).toBe(0)
  const second = start(new URL(address).port)
  expect(await second.told).toBe(address)
  second.child.disconnect()
  expect(await second.gone).toBe(0)
})
