// The configuration of a tool gateway beside its entitlements: it loads whole, and says what of it nothing obeys.
import { expect, test } from 'vitest'
import { ask, load, setOf } from '../support/policy-forms.ts'

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

test('a tenant without an allow list is closed as far as its file goes', () => {
  const text =
    'entitlements:\n  default_plan: free\n  plans: { free: { calls_per_day: 5 } }\n  tenants: { acme: { denylist: [mcp://notes/get_secret] } }\n'
  const set = setOf(load('gateway.yaml', text))
  for (const tool of ['notes/get_secret', 'notes/get_note'])
    expect(ask(set, { tenant: 'acme', tool }).kind).toBe('deny')
})
