// What a reader of a turn keeps when an attempt breaks and begins again.
import { expect, test } from 'vitest'
import { createAnswer } from '../../sdk/answer.ts'
import type { ChatEvent } from '../../sdk/events.ts'

const text = (id: string, data: string): ChatEvent => ({ type: 'text', id, data })
const restarted = (id: string, discardFromSeq: number): ChatEvent => ({
  type: 'status',
  id,
  data: { code: 'attempt_restarted', discardFromSeq },
})

test('a broken attempt is taken back from its first word on, and no other status takes anything', () => {
  const answer = createAnswer()
  const status: ChatEvent = { type: 'status', id: '1', data: { code: 'turn_accepted' } }
  const first = [status, text('2', 'kept '), text('4', 'half an ans'), restarted('5', 4), text('6', 'whole')]
  for (const event of first) answer.take(event)
  expect(answer.text()).toBe('kept whole')
  for (const event of [restarted('9', 1), text('10', 'all of it')]) answer.take(event)
  expect(answer.text()).toBe('all of it')
})
