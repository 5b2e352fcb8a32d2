// A model and a tool that say our secrets: nobody hears them.
import { expect, test } from 'vitest'
import type { ModelUpstream } from '../../clients/models.ts'
import { redactedModel, redactedTools } from '../../clients/redacted.ts'
import { createRedactor } from '../../domain/redaction.ts'
import type { ModelEvent, ModelUsage } from '../../schemas/model.ts'

const value = 'sk-ant-planted-0123456789'
const redactor = createRedactor([{ name: 'ANTHROPIC_API_KEY', value }])
const said = '[REDACTED:ANTHROPIC_API_KEY]'
const usage = {} as ModelUsage
const request = { model: 'm', maxTokens: 1, system: '', messages: [], tools: [] }

async function heard(events: readonly ModelEvent[], fault?: Error): Promise<{ events: ModelEvent[]; fault?: unknown }> {
  const model: ModelUpstream = {
    stream: async function* () {
      yield* events
      if (fault) throw fault
    },
  }
  const out: ModelEvent[] = []
  try {
    const options = { signal: new AbortController().signal }
    for await (const event of redactedModel(model, redactor).stream(request, options)) out.push(event)
  } catch (error) {
    return { events: out, fault: error }
  }
  return { events: out }
}
const pieces = (type: 'text' | 'thinking', text: string): ModelEvent[] =>
  text.split('').map((piece) => ({ type, text: piece }))
const joined = (events: readonly ModelEvent[], type: string) =>
  events.map((event) => (event.type === type && 'text' in event ? event.text : '')).join('')

test.each(['text', 'thinking'] as const)('%s that says a secret letter by letter', async (type) => {
  const { events } = await heard([...pieces(type, `It is ${value}, truly.`), { type: 'usage', usage }])
  expect(joined(events, type)).toBe(`It is ${said}, truly.`)
})

test('words keep their order: what was held back comes before thoughts, calls and the stop', async () => {
  const { events } = await heard([
    { type: 'text', text: 'all s' },
    { type: 'usage', usage },
    { type: 'thinking', text: 'hm sk' },
    { type: 'text', text: 'and sk-' },
    { type: 'tool_use', id: '1', name: 'a__b', input: { key: [value], [value]: 1, n: 2 } },
    { type: 'text', text: 'end s' },
    { type: 'stop', reason: 'end_turn', model: 'm' },
  ])
  expect(events).toEqual([
    { type: 'text', text: 'all ' },
    { type: 'usage', usage },
    { type: 'text', text: 's' },
    { type: 'thinking', text: 'hm ' },
    { type: 'thinking', text: 'sk' },
    { type: 'text', text: 'and ' },
    { type: 'text', text: 'sk-' },
    { type: 'tool_use', id: '1', name: 'a__b', input: { key: [said], [said]: 1, n: 2 } },
    { type: 'text', text: 'end ' },
    { type: 'text', text: 's' },
    { type: 'stop', reason: 'end_turn', model: 'm' },
  ])
})

test('a cut keeps the words before it, and half a secret is none of them', async () => {
  const fault = new Error('cut')
  const broken = await heard([{ type: 'text', text: 'the key is sk' }], fault)
  expect([joined(broken.events, 'text'), broken.fault]).toEqual(['the key is sk', fault])
  const half = await heard([{ type: 'text', text: `the key is ${value.slice(0, -2)}` }], fault)
  expect(joined(half.events, 'text')).toBe(`the key is ${said}`)
})

test('what a tool answers, and how it describes itself', async () => {
  const tools = redactedTools(
    {
      servers: () => ['a'],
      list: async () => [
        { server: 'a', name: 'b', description: `uses ${value}`, inputSchema: { default: value }, hints: {} },
      ],
      call: async () => ({ text: Buffer.from(`key=${value};`).toString('base64'), isError: true }),
      [Symbol.asyncDispose]: async () => undefined,
    },
    redactor,
  )
  const { signal } = new AbortController()
  expect(await tools.list('a', signal)).toMatchObject([{ description: `uses ${said}`, inputSchema: { default: said } }])
  const { text } = await tools.call({ server: 'a', tool: 'b', args: {}, signal, timeoutMs: 1_000 })
  expect(text).toContain(said)
  expect(Buffer.from(text, 'base64').toString('latin1')).not.toContain(value.slice(2, -2))
})
