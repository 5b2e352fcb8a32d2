// The configuration of a tool gateway beside its entitlements: it loads whole, and says what of it nothing obeys.
import { expect, test } from 'vitest'
import { ask, load, setOf, textOf } from '../support/policy-forms.ts'

const blocks = `entitlements:
  tenants:
    acme: { allowlist: [mcp://notes/get_note], denylist: [mcp://notes/get_secret] }
targets: { notes: http://127.0.0.1:9000 }
port: 8080
tenant: acme
policyYaml: policy.yaml
audit: { append: file, gatewayName: gw, gatewayVersion: "1" }
quotas: { adapter: memory }
authn:
  allowUnauthenticated: false
  mode: oidc
  oidc: { issuer: https://issuer.example, audience: gw, jwks_uri: https://issuer.example/jwks, tenantClaim: org }
brokers:
  notes: { type: static, key_refs: ["env:KEY"], inject: { header: authorization, format: bearer } }
dedupe: { enabled: true, duplicatePolicy: replay, ttlSec: 1800, namespace: gw }
ap2: { enabled: false, headers: { intent: x-intent }, trust: { didMethods: [web], clockSkewSec: 60 }, mode: "" }
agentState: { enableGatewayAnalytics: true, includeAp2: false, includeRisk: true }
runtime: { enforcement: { mode: local, failureMode: deny, remote: { endpoint: https://decide.example, timeoutMs: 1500 } } }
`

test('a configuration loads whole, and what nothing obeys is named with its line', () => {
  const { notEnforced, rules } = load('gateway.yaml', blocks)
  expect(rules.map(({ id }) => id)).toEqual(['acme:denylist', 'acme:allowlist', 'acme:not-listed'])
  expect(notEnforced.map((line) => line.split(': ').slice(0, 2).join(' '))).toEqual(
    [
      ...[
        [4, 'targets'],
        [5, 'port'],
        [6, 'tenant'],
        [7, 'policyYaml'],
        [8, 'audit'],
        [9, 'quotas'],
        [11, 'authn'],
      ],
      ...[
        [15, 'brokers'],
        [16, 'dedupe'],
        [17, 'ap2'],
        [18, 'agentState'],
        [19, 'runtime'],
      ],
    ].map(([line, name]) => `policy/gateway.yaml:${line} ${name}`),
  )
})

test.each([
  ['a key of a block that is none', blocks.replace('ttlSec', 'ttl'), /gateway\.yaml:16: dedupe\.ttl: is not known/],
  ['a time to live beyond its bounds', blocks.replace('1800', '5'), /gateway\.yaml:16: dedupe\.ttlSec: /],
  ['a mode that is none', `${blocks}enforcement: { mode: off }\n`, /gateway\.yaml:20: enforcement\.mode: /],
  [
    'no tool reference in the list of a user',
    blocks.replace('get_secret]', 'get_secret], users: { ann: { denylist: [get note] } }'),
    /gateway\.yaml:3: entitlements\.tenants\.acme\.users\.ann\.denylist\.0: get note is no tool reference/,
  ],
  [
    'no tool reference in the list of a node',
    blocks.replace('get_secret]', 'get_secret], agent_nodes: { n1: { allowlist: ["/"] } }'),
    /agent_nodes\.n1\.allowlist\.0: /,
  ],
  [
    'a node that no call can name',
    blocks.replace('get_secret]', 'get_secret], agent_nodes: { "n 1": { allowlist: [] } }'),
    /gateway\.yaml:3: entitlements\.tenants\.acme\.agent_nodes\.n 1: is no name of a node/,
  ],
])('a configuration with %s is refused by file, line and path', (_title, text, fault) => {
  expect(() => load('gateway.yaml', text)).toThrow(fault)
})

test('entitlements under observation refuse nothing, and would have', () => {
  const set = setOf(load('gateway.yaml', `${blocks}enforcement: { mode: observe }\n`))
  expect(ask(set, { tenant: 'acme', tool: 'notes/get_secret' })).toMatchObject({
    kind: 'allow',
    observed: { kind: 'deny', ruleIds: ['acme:denylist'] },
  })
  expect(ask(set, { tenant: 'acme', tool: 'notes/get_other' })).toMatchObject({
    kind: 'allow',
    observed: { kind: 'deny' },
  })
  expect(ask(set, { tenant: 'acme', tool: 'notes/get_note' })).not.toHaveProperty('observed')
  expect(ask(set, { tenant: 'else', tool: 'notes/get_note' }).kind).toBe('deny')
})

test('guards beside open entitlements are observed too', () => {
  const text = 'entitlements: open\nsecurity: { egress_allowlist: [a.example] }\nenforcement: { mode: observe }\n'
  const asked = { tool: 'notes/get_note', facts: { arguments: { url: 'https://evil.example' } } }
  expect(ask(setOf(load('gateway.yaml', text)), asked)).toMatchObject({ kind: 'allow', observed: { kind: 'deny' } })
})

test('what is destructive needs a person no less than a write', () => {
  const text = 'entitlements: open\nsecurity: { side_effects: { approve_high_risk: true } }\n'
  const kindOf = (effectClass: 'read' | 'write' | 'destructive') =>
    ask(setOf(load('gateway.yaml', text)), { tool: 'notes/any', effectClass }).kind
  expect([kindOf('read'), kindOf('write'), kindOf('destructive')]).toEqual(['allow', 'require', 'require'])
})

// Contracts 14.2: no match is denied; only `entitlements: open` opens.
test.each([
  ['nothing', '{}'],
  ['deny lists alone', '{ denylist: [mcp://notes/get_secret] }'],
  ['an empty deny list', '{ denylist: [] }'],
  ['an empty allow list', '{ allowlist: [] }'],
  ['limits alone', "{ per_tool: { 'notes/*': { calls_per_day: 5 } } }"],
  ['a plan alone', '{ plan: free }'],
  ['a deny list of a role', '{ roles: { owner: { denylist: [mcp://notes/get_secret] } } }'],
  ['a list of users whom nothing names', '{ users: { ann: { allowlist: [mcp://notes/get_note] } } }'],
])('a tenant with %s is closed', (_title, block) => {
  const text = `entitlements:\n  default_plan: free\n  plans: { free: { calls_per_day: 5 } }\n  tenants: { acme: ${block} }\n`
  const set = setOf(load('gateway.yaml', text))
  for (const tool of ['notes/get_secret', 'notes/get_note'])
    for (const list of [true, false]) expect(ask(set, { tenant: 'acme', tool, list }).kind).toBe('deny')
})

test('patterns of a compliance pack are looked for in all that goes into a tool, and the rest is named', () => {
  const text = `${textOf('gateway-policy.yaml')}compliance:
  packs:
    - id: pii
      name: People
      rules:
        - { type: regex, location: input, severity: high, patterns: ['\\d{3}-\\d{2}-\\d{4}', '(?i)secret "word"'] }
        - { type: regex, location: both, severity: low, patterns: ['^4111'] }
        - { type: regex, location: output, severity: low, patterns: ['x'] }
        - { type: nl, location: input, severity: low, instruction: Be kind. }
  policies: [{ any: thing }]
`
  const policy = load('gateway-policy.yaml', text)
  const facts = (given: unknown) => ({ tool: { version: '2.1', schemaSha256: null }, arguments: given })
  const made = (given: unknown, tenant = 'acme') =>
    ask(setOf(policy), { tool: 'notes/get_note', tenant, facts: facts(given) })
  for (const given of [{}, { a: '12-34' }, { a: [1, null, true] }]) expect(made(given).kind).toBe('allow')
  for (const given of [{ a: 'is 123-45-6789.' }, { a: [{ '123-45-6789': 1 }] }, { a: 'SECRET "word"' }])
    expect(made(given)).toMatchObject({ kind: 'deny', ruleIds: ['compliance:pii:0'] })
  expect(made({ card: 4_111 })).toMatchObject({ kind: 'deny', ruleIds: ['compliance:pii:1'] })
  expect(policy.notEnforced.filter((line) => line.includes('compliance')).map((line) => line.split(': ')[1])).toEqual([
    'compliance.policies',
    'compliance.packs.0.rules.1.location',
    'compliance.packs.0.rules.2.location',
    'compliance.packs.0.rules.3.location',
  ])
})

test('a user id is meant however it is spelled: an address of mixed case misses nobody', () => {
  const address = '0x00000000000000000000000000000000000000aa'
  const text = `entitlements:
  tenants:
    acme: { allowlist: ["mcp://notes/*"], user_ids: { "${address.replace('aa', 'AA')}": { denylist: [mcp://notes/get_secret] } } }
`
  const set = setOf(load('gateway.yaml', text))
  expect(ask(set, { tenant: 'acme', tool: 'notes/get_note' }).kind).toBe('allow')
  expect(ask(set, { tenant: 'acme', tool: 'notes/get_secret' }).kind).toBe('deny')
})
