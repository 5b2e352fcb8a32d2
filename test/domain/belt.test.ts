// The tools of an agent's own list.
import { expect, test } from 'vitest'
import { isOnBelt, isToolPattern } from '../../domain/tool.ts'

test.each(['echo', '/echo', 'notes/', 'no tes/x', 'notes/a/b', '*/x', 'notes/\n'])('%j names no tools', (pattern) => {
  expect(isToolPattern(pattern)).toBe(false)
})

test.each([
  [null, 'echo', true],
  [[], 'echo', false],
  [['notes/echo'], 'echo', true],
  [['notes/echo'], 'echo2', false],
  [['notes/*'], 'anything', true],
  [['notes/get_*_note'], 'get_my_note', true],
  [['notes/get_*_note'], 'get_note', false],
  [['other/*'], 'echo', false],
] as const)('with %j of the server notes, %s is on the list: %s', (tools, tool, expected) => {
  expect(isOnBelt({ servers: ['notes'], tools }, 'notes', tool)).toBe(expected)
})

test('a tool of a server that the agent does not work with is never on its list', () => {
  expect(isOnBelt({ servers: ['notes'], tools: null }, 'mail', 'send')).toBe(false)
  expect(isOnBelt({ servers: ['notes'], tools: ['mail/*'] }, 'mail', 'send')).toBe(false)
})
