// Foreign forms of policies: what a file means, and what of it is named as not obeyed.
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Decision } from '../../domain/policy/combine.ts'
import { ask, load, setOf, textOf } from '../support/policy-forms.ts'

const forms = ['notes-native.yaml', 'notes-entitlements.yaml', 'notes-agentgateway.yaml']

const limitsOf = (made: Decision): string => {
  const limits = made.kind === 'allow' ? made.obligations.filter((each) => each.kind === 'limit') : []
  return limits.map(({ meter, amount, per, rank }) => `${meter} ${amount} ${per} ${rank}`).join() || 'none'
}

test('the same intent in three forms gives the same decisions', () => {
  const sets = forms.map((name) => setOf(load(name)))
  const asked = fc.record({
    tool: fc.constantFrom(
      'notes/get_note',
      'notes/get_secret',
      'notes/list_notes',
      'notes/create_note',
      'notes/drop_note',
      'other/get_note',
    ),
    tenant: fc.constantFrom('acme', 'acme', 'else'),
    roles: fc.constantFrom(['owner'] as const, ['approver'] as const, ['owner', 'approver'] as const, [] as const),
    list: fc.boolean(),
    path: fc.constantFrom(undefined, '/srv/notes/a', '/srv/notes/a/b.txt', '/etc/passwd', '/srv/notes-other/a'),
    more: fc.constantFrom({}, { text: 'hello' }),
  })
  const seen = new Set<string>()
  const property = fc.property(asked, ({ path, more, list, ...rest }) => {
    const facts = { arguments: list ? null : { ...more, ...(path === undefined ? {} : { path }) } }
    const made = sets.map((set) => ask(set, { ...rest, list, facts }))
    seen.add(`${list} ${made[0]?.kind}`)
    const [own, entitled, resource] = made.map(limitsOf)
    // A resource counts requests of a person by the minute; the other forms can say the same limit to the letter.
    const isLimited = own !== 'none'
    if (!list && isLimited) seen.add('limited')
    return new Set(made.map(({ kind }) => kind)).size === 1 && own === entitled && (!isLimited || resource !== 'none')
  })
  expect(() => fc.assert(property, { numRuns: 5_000 })).not.toThrow()
  expect([...seen].toSorted((a, b) => a.localeCompare(b))).toEqual([
    'false allow',
    'false deny',
    'limited',
    'true allow',
    'true deny',
  ])
  const reads = sets.map((set) => limitsOf(ask(set, { tool: 'notes/get_note' })))
  const daily = 'calls-per-day 100 tenant-tool tool'
  expect(reads).toEqual([daily, daily, 'requests-per-minute 30 human default'])
})

const scopes = ['none', 'mcp:read', 'mcp:write', 'mcp:admin']
const tools = {
  read: ['list_issues', 'get_issue', 'search_code'],
  write: ['post_comment', 'create_issue', 'reply_to'],
  destructive: ['delete_branch', 'destroy_repository', 'merge_pull_request'],
} as const
// Contracts 18. The resource is taken literally: a token that writes does not read by it.
const outcome: Readonly<Record<string, readonly (readonly [boolean, boolean, boolean])[]>> = {
  'scopes-agentgateway.yaml': [
    [false, false, false],
    [true, false, false],
    [false, true, false],
    [true, true, false],
  ],
  'scopes-native.yaml': [
    [false, false, false],
    [true, false, false],
    [true, true, false],
    [true, true, false],
  ],
}

const classes = ['read', 'write', 'destructive'] as const
const cells = Object.entries(outcome).flatMap(([name, rows]) =>
  rows.flatMap((row, at) =>
    classes.map((effectClass, column) => ({
      name,
      held: scopes[at] ?? '',
      effectClass,
      allowed: row[column] === true,
    })),
  ),
)
const never = load('default.yaml', readFileSync('policy/default.yaml', 'utf8')).rules.filter(
  ({ id }) => id === 'destructive-never',
)

test.each(cells)('$name: $held on what is $effectClass: $allowed', ({ name, held, effectClass, allowed }) => {
  const set = setOf(load(name), { policyId: 'default', version: 1, rules: never, notEnforced: [] })
  const own = held === 'none' ? [] : [held]
  const facts = { claims: { scopes: own } }
  for (const tool of tools[effectClass])
    for (const list of [true, false])
      expect(ask(set, { tool: `code/${tool}`, scopes: own, list, facts }).kind).toBe(allowed ? 'allow' : 'deny')
})

test('what an expression cannot read allows nothing: a caller without claims is refused', () => {
  expect(ask(setOf(load('scopes-agentgateway.yaml')), { tool: 'code/get_issue' }).kind).toBe('deny')
})

test('resources limit persons, and name what is not obeyed', () => {
  const { policyId, rules, notEnforced } = load('scopes-agentgateway.yaml')
  expect(policyId).toBe('scopes-agentgateway')
  expect(rules.flatMap(({ effect }) => (effect.kind === 'limit' ? [effect] : []))).toEqual([
    { kind: 'limit', meter: 'requests-per-minute', amount: 30, burst: 10, per: 'human', rank: 'default' },
    { kind: 'limit', meter: 'requests-per-minute', amount: 10, per: 'human', rank: 'default' },
    { kind: 'limit', meter: 'tokens-per-minute', amount: 5_000, per: 'human', rank: 'default' },
  ])
  expect(notEnforced.map((line) => line.split(': ').slice(1, 3).join(' '))).toEqual([
    'spec.backend.mcp.timeout code-host',
    'spec.backend.ai.promptGuard code-host',
    'spec.traffic.jwtAuthentication sign-in',
  ])
  expect(notEnforced.every((line) => /^policy\/scopes-agentgateway\.yaml:\d+: /.test(line))).toBe(true)
})

test('a policy of the tool gateway denies, escalates or records by its reasons', () => {
  const policy = load('gateway-policy.yaml')
  const set = setOf(policy)
  const tool = { version: '2.1', schemaSha256: null }
  const reading = { tool: 'notes/get_note', facts: { tool } }
  expect(ask(set, reading).kind).toBe('allow')
  expect(ask(set, { ...reading, facts: { tool: { ...tool, version: '3' } } })).toMatchObject({
    kind: 'deny',
    reason: 'tool_not_in_allowlist',
  })
  expect(ask(set, { ...reading, tenant: 'else' }).kind).toBe('deny')
  const toUrl = (url: string) => ask(set, { ...reading, facts: { tool, arguments: { any: [url] } } })
  for (const url of ['https://api.example.com/x', 'https://a.notes.example', 'not a url', '/a/path'])
    expect([url, toUrl(url).kind]).toEqual([url, 'allow'])
  for (const url of [
    'https://api.example.com.evil.example',
    'https://notes.example',
    'https://user@api.example.com',
    'http://0x7f.1/',
    'https://xn--pi-7ka.example.com',
    '//evil.example/x',
    'gopher://evil.example',
    'https://',
    'https:evil.example/x',
    'https:/evil.example/x',
    'ht\ntps://evil.example',
    '\u0001https://evil.example',
    'WSS:evil.example',
  ])
    expect([url, toUrl(url)]).toMatchObject([url, { kind: 'deny', reason: 'egress_violation' }])
  expect(ask(set, { ...reading, facts: { tool, arguments: { text: 'x'.repeat(1_100) } } })).toMatchObject({
    kind: 'require',
    reason: 'payload_too_large',
  })
  // A reason that is in neither list is recorded, and nothing follows.
  expect(ask(set, { tool: 'notes/create_note' })).toMatchObject({
    kind: 'allow',
    observed: { kind: 'deny', reason: 'version_unpinned' },
  })
  expect(policy.notEnforced.map((line) => line.split(': ')[1])).toEqual([
    'side_effects.require_idempotency_key',
    'side_effects.max_retries',
    'enforcement',
  ])
})

test.each([
  ['/srv/notes', true],
  ['/srv/notes/a', true],
  ['/srv/notes/../notes/a', true],
  ['/srv/notes/../../etc/passwd', false],
  ['/srv/notes/%2e%2e/x', false],
  ['/srv/notes\\..\\x', false],
  ['../notes', false],
  ['./a', false],
  ['~/a', false],
  ['C:\\notes', false],
  ['file:///srv/notes/a', true],
  ['file:///etc/passwd', false],
  ['a/../../etc/passwd', false],
  ['//etc/passwd', false],
  ['a note of no path', true],
])('the path %s lies below the folder: %s', (path, isBelow) => {
  const made = ask(setOf(load('notes-entitlements.yaml')), {
    tool: 'notes/get_note',
    facts: { arguments: { deep: { any: path } } },
  })
  expect(made.kind).toBe(isBelow ? 'allow' : 'deny')
})

const entitled = (block: string) => `entitlements:\n  plans:\n    free: { calls_per_day: 10 }\n${block}`
test('plans limit by rank, versions are pinned, agents and subjects have lists of their own, and open is open', () => {
  const set = setOf(
    load(
      'plans.yaml',
      `${entitled("  default_plan: free\n  tenants:\n    acme:\n      plan: free\n      agents:\n        assistant: { allowlist: ['notes/get_*'], denylist: ['notes/get_secret'] }\n")}security:\n  allow_versions: { notes: ['2.*'] }\n`,
    ),
  )
  const tool = { version: '2.1', schemaSha256: null }
  const made = ask(set, { tool: 'notes/get_note', facts: { tool } })
  expect(made).toMatchObject({ kind: 'allow', obligations: [{ ruleId: 'acme:plan:free', rank: 'plan', amount: 10 }] })
  expect(ask(set, { tool: 'notes/get_secret', facts: { tool } })).toMatchObject({ kind: 'deny', hard: true })
  for (const version of ['3', null])
    expect(ask(set, { tool: 'notes/get_note', facts: { tool: { ...tool, version } } })).toMatchObject({
      kind: 'deny',
      reason: 'version_unpinned',
    })
  expect(ask(setOf(load('open.yaml', 'entitlements: open\n')), { tool: 'any/get_it' }).kind).toBe('allow')
})

test('names of tenants compare without case, keys of arguments are looked at, and allows of one server add up', () => {
  const denied = setOf(
    load('open.yaml', 'entitlements: open\n'),
    load('names.yaml', entitled("  tenants:\n    ACME: { denylist: ['notes/get_secret'] }\n")),
  )
  expect(ask(denied, { tool: 'notes/get_secret' })).toMatchObject({ kind: 'deny', hard: true })
  const keyed = { tool: 'notes/get_note', facts: { arguments: { '/etc/passwd': 1 } } }
  expect(ask(setOf(load('notes-entitlements.yaml')), keyed).kind).toBe('deny')
  const resource = textOf('notes-agentgateway.yaml')
  const second = resource
    .replace('name: notes }\nspec', 'name: more }\nspec')
    .replaceAll('"get_"', '"find_"')
    .replaceAll('"list_"', '"find_"')
  const both = setOf(load('both.yaml', `${resource}---\n${second}`))
  for (const tool of ['notes/get_note', 'notes/find_note']) expect(ask(both, { tool }).kind).toBe('allow')
  expect(ask(both, { tool: 'notes/other' }).kind).toBe('deny')
})
