import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseToolCatalogue } from '../../config/tools.ts'

const shipped = readFileSync(new URL('../../policy/tools.yaml', import.meta.url), 'utf8')
const variables = { node: '/bin/node', everything: '/e/index.js', toolsUrl: 'http://127.0.0.1:1/mcp' }

test.each([
  ['an unknown variable', 'servers: [{ id: a, title: a, transport: { kind: http, url: "${nobody}" } }]\nclasses: {}'],
  [
    'an id that would split in two ways',
    'servers: [{ id: a__b, title: a, transport: { kind: http, url: "http://a" } }]\nclasses: {}',
  ],
  [
    'another scheme',
    'servers: [{ id: a, title: a, transport: { kind: http, url: "file:///etc/passwd" } }]\nclasses: {}',
  ],
  ['an unknown class', 'servers: []\nclasses: { a/b: harmless }'],
  ['a class without a tool', 'servers: []\nclasses: { a: read }'],
  ['an unknown key', 'servers: []\nclasses: {}\nextra: 1'],
])('%s is refused', (_what, text) => {
  expect(() => parseToolCatalogue(text, variables)).toThrow('The tool catalogue ')
})

test('the shipped catalogue fills its variables', () => {
  const { servers, classes } = parseToolCatalogue(shipped, variables)
  expect(servers.map(({ id, transport }) => [id, transport])).toEqual([
    ['everything', { kind: 'stdio', command: '/bin/node', args: ['/e/index.js', 'stdio'] }],
    ['workbench', { kind: 'http', url: 'http://127.0.0.1:1/mcp' }],
  ])
  expect(classes['workbench/delete_note']).toBe('destructive')
})

test('a server whose variable is not set is left out', () => {
  const { servers } = parseToolCatalogue(shipped, { ...variables, toolsUrl: undefined })
  expect(servers.map(({ id }) => id)).toEqual(['everything'])
})
