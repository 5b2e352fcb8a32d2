// Classes of tools: by catalogue, else by name; a server's own hints only raise.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { classifyTool, effectClasses, exposedToolName, splitToolName, wordsOfName } from '../../domain/tool.ts'

test.each([
  ['delete_note', 'destructive'],
  ['getAndDeleteNote', 'destructive'],
  ['force-push', 'destructive'],
  ['mergeBranch', 'destructive'],
  ['PURGE', 'destructive'],
  ['HTTPDelete', 'destructive'],
  ['write_note', 'write'],
  ['send', 'write'],
  ['fetch', 'write'],
  ['updateGet', 'write'],
  ['getter', 'write'],
  ['deleted', 'write'],
  ['', 'write'],
  ['日本語', 'write'],
  ['get-sum', 'read'],
  ['listNotes', 'read'],
  ['search', 'read'],
  ['read_file', 'read'],
  ['describe', 'read'],
  ['echo', 'read'],
  ['count_rows', 'read'],
])('%s is %s by its name', (name, effectClass) => {
  expect(classifyTool(name, undefined)).toBe(effectClass)
})

test('the catalogue wins over the name', () => {
  expect(classifyTool('delete_draft', 'write')).toBe('write')
  expect(classifyTool('get_everything', 'destructive')).toBe('destructive')
})

test('hints only raise a class, and absent ones say nothing', () => {
  expect(classifyTool('write_note', undefined, { readOnlyHint: true })).toBe('write')
  expect(classifyTool('delete_note', undefined, { readOnlyHint: true, destructiveHint: false })).toBe('destructive')
  expect(classifyTool('get_note', undefined, { readOnlyHint: false })).toBe('write')
  expect(classifyTool('get_note', 'read', { destructiveHint: true })).toBe('destructive')
  fc.assert(
    fc.property(
      fc.constantFrom('get_x', 'set_x', 'drop_x', 'x'),
      fc.option(fc.constantFrom(...effectClasses), { nil: undefined }),
      fc.record({ readOnlyHint: fc.boolean(), destructiveHint: fc.boolean() }, { requiredKeys: [] }),
      (name, catalogue, hints) => {
        const rank = (hinted: typeof hints) => effectClasses.indexOf(classifyTool(name, catalogue, hinted))
        expect(rank(hints)).toBeGreaterThanOrEqual(rank({}))
      },
    ),
  )
})

test('names are read word by word', () => {
  expect(wordsOfName('deleteUserNote')).toEqual(['delete', 'user', 'note'])
  expect(wordsOfName('HTTPGet-all__v2')).toEqual(['http', 'get', 'all', 'v2'])
})

test('an exposed name is split where it was joined', () => {
  expect(splitToolName(exposedToolName('notes', 'get__all'))).toEqual({ server: 'notes', tool: 'get__all' })
  for (const name of ['', 'notes', '__get', 'notes__']) expect(splitToolName(name)).toBeUndefined()
})
