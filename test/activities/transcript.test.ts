// What a model reads of a long conversation: never more than its window, never half a turn, never an answer without its
// question.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { messagesOf } from '../../activities/transcript.ts'
import type { MessageRow } from '../../db/turn-step.ts'
import { tokensLikely } from '../../gateway/token-bound.ts'
import type { Block, ModelMessage } from '../../schemas/model.ts'

const row = (turnId: string, kind: MessageRow['kind'], content: readonly Block[]): MessageRow => ({
  turnId,
  kind,
  step: 1, // rows come in their order
  position: 0,
  content,
  stopReason: null,
  createdAt: new Date(0),
})
const text = (words: string): Block => ({ type: 'text', text: words })
const call = (id: string): Block => ({ type: 'tool_use', id, name: 'a__b', input: {} })
const result = (toolUseId: string, content: string): Block => ({
  type: 'tool_result',
  toolUseId,
  content,
  isError: false,
})
const turn = (id: string, size: number) => [
  row(id, 'user', [text(`ask ${id} ${'x'.repeat(size)}`)]),
  row(id, 'assistant', [text(`answer ${id}`)]),
]
const said = (messages: readonly ModelMessage[]) =>
  messages.flatMap(({ content }) => content.flatMap((block) => (block.type === 'text' ? [block.text.slice(0, 8)] : [])))
const tokens = (messages: readonly ModelMessage[]) =>
  messages.reduce((sum, { content }) => sum + tokensLikely(content), 0)

test('older turns go first, whole, and what is older than a turn that is too long goes with it', () => {
  const rows = [...turn('1', 10), ...turn('2', 9_000), ...turn('3', 10), ...turn('4', 10)]
  expect(said(messagesOf(rows, 100_000))).toHaveLength(8)
  expect(said(messagesOf(rows, 200)).map((words) => words.at(-1))).toEqual(expect.arrayContaining(['3', '4']))
  expect(said(messagesOf(rows, 200))).not.toContain('answer 1')
  expect(said(messagesOf(rows, 200))).not.toContain('answer 2')
})

test('the newest question is always there, also when it alone is too long', () => {
  expect(said(messagesOf([...turn('1', 10), row('2', 'user', [text('ask 2 ' + 'x'.repeat(9_000))])], 10))).toEqual([
    'ask 2 xx',
  ])
  expect(messagesOf([], 10)).toEqual([])
})

test('a turn without its beginning is left out whole', () => {
  const rows = [row('1', 'assistant', [text('answer 1')]), ...turn('2', 10)]
  expect(said(messagesOf(rows, 100_000))).toEqual(['ask 2 xx', 'answer 2'])
})

test('a turn that has become too long loses its older results, not its newest, and says how much', () => {
  const long = 'r'.repeat(6_000)
  const rows = [
    row('1', 'user', [text('ask')]),
    row('1', 'assistant', [call('a'), call('b')]),
    row('1', 'tool', [result('a', long)]),
    row('1', 'tool', [result('b', 'short')]),
    row('1', 'assistant', [call('c')]),
    row('1', 'tool', [result('c', long)]),
  ]
  const whole = messagesOf(rows, 10_000)
  expect(whole.map(({ role, content }) => [role, content.length])).toEqual([
    ['user', 1],
    ['assistant', 2],
    ['user', 2],
    ['assistant', 1],
    ['user', 1],
  ])
  const cut = messagesOf(rows, 3_000).flatMap(({ content }) => content)
  const contents = cut.flatMap((block) => (block.type === 'tool_result' ? [block.content] : []))
  expect(contents).toEqual(['[6000 bytes were left out: the turn has become too long.]', 'short', long])
  expect(tokens(messagesOf(rows, 3_000))).toBeLessThanOrEqual(3_000)
})

test('whatever was said, it fits, is made of the newest turns, and each begins with its question', () => {
  const sizes = fc.array(fc.nat(3_000), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1_100, max: 12_000 }), (lengths, tokensMax) => {
      const rows = lengths.flatMap((length, at) => turn(String(at), length))
      const messages = messagesOf(rows, tokensMax)
      expect(tokens(messages)).toBeLessThanOrEqual(tokensMax)
      expect(messages[0]?.role).toBe('user')
      const first = lengths.length - messages.length / 2
      expect(said(messages)).toEqual(said(messagesOf(rows.slice(first * 2), Infinity)))
      const more = first === 0 ? 0 : tokens(messagesOf(rows.slice((first - 1) * 2), Infinity))
      expect(first === 0 || more > tokensMax).toBe(true)
    }),
  )
})
