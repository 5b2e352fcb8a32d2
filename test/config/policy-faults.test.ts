// Faults of the foreign forms, one each: refused with file, line and path.
import { expect, test } from 'vitest'
import { PolicyError } from '../../config/policy/yaml.ts'
import { load, textOf } from '../support/policy-forms.ts'

const entitled = (block: string) => `entitlements:\n  plans:\n    free: { calls_per_day: 10 }\n${block}`
const resource = textOf('notes-agentgateway.yaml')
const gateway = textOf('gateway-policy.yaml')
const pack = (pattern: string) =>
  `compliance:\n  packs:\n    - id: pii\n      name: People\n      rules: [{ type: regex, location: input, severity: high, patterns: ['${pattern}'] }]\n`
const native = textOf('notes-native.yaml')
test.each<[string, string, string | RegExp]>([
  ['no policy at all', '# nothing\n', 'x.yaml:1: is no form of policy that is known'],
  ['a list', '- a\n', 'x.yaml:1: is no form of policy that is known'],
  ['two forms', `${native}entitlements: open\n`, 'x.yaml:1: is several forms of policy at once: native, entitlements'],
  [
    'two documents of one form',
    `entitlements: open\n---\nentitlements: open\n`,
    'x.yaml:3: this form has one document in a file',
  ],
  [
    'a reason that guards nothing',
    gateway.replace('tool_not_in_allowlist', 'tool_not_in_allow_list'),
    /x\.yaml:17: enforcement\.deny_on\.0: /,
  ],
  [
    'an allow on a server that is open',
    resource.replace('    mcp:\n', '    mcp:\n      toolAuth: { defaultAction: Allow }\n'),
    /an Allow closes the server, and the file opens it/,
  ],
  [
    'a key of the gateway that is wrong',
    gateway.replace('max_retries: 2', 'max_tries: 2'),
    /x\.yaml:15: side_effects\.max_tries: is not known/,
  ],
  [
    'a number that is out of range',
    gateway.replace('max_retries: 2', 'max_retries: 11'),
    /x\.yaml:15: side_effects\.max_retries: /,
  ],
  ['a retention that is none', gateway.replace('90d', '91d'), /x\.yaml:3: default_retention: /],
  [
    'a reference that is none',
    gateway.replace("'mcp://notes/create_note'", "'http://notes'"),
    /x\.yaml:12: tools\.allowlist\.1: http:\/\/notes is no tool reference/,
  ],
  [
    'a plan that is none',
    entitled('  default_plan: gold\n'),
    'x.yaml:4: entitlements.default_plan: there is no plan gold',
  ],
  [
    'a plan by the name of a method',
    entitled('  default_plan: toString\n'),
    'x.yaml:4: entitlements.default_plan: there is no plan toString',
  ],
  [
    'an amount of nothing',
    'entitlements:\n  plans:\n    free: { calls_per_day: 0 }\n',
    /x\.yaml:3: entitlements\.plans\.free\.calls_per_day: /,
  ],
  [
    'an approval by waiting',
    `${entitled('')}security:\n  side_effects: { human_escalation: { timeout_action: auto_approve } }\n`,
    /x\.yaml:5: security\.side_effects\.human_escalation\.timeout_action: auto_approve can reach writes/,
  ],
  [
    'an approval by nobody',
    `${entitled('')}security:\n  side_effects: { human_escalation: { approval_strategy: auto_allow } }\n`,
    /auto_allow can reach writes/,
  ],
  [
    'a resource of another kind',
    resource.replace('kind: AgentgatewayPolicy', 'kind: Secret'),
    'x.yaml:3: kind: Secret is no kind of resource that is known',
  ],
  [
    'an allow that reads arguments',
    resource.replace('mcp.tool.name == "create_note"', 'mcp.tool.arguments.id == 1'),
    /x\.yaml:15: spec\.backend\.mcp\.authorization\.policy\.matchExpressions\.1: .*arguments/,
  ],
  [
    'an expression of an unknown name',
    resource.replace('has(args.path)', 'has(nobody.path)'),
    /x\.yaml:19: spec\.backend\.mcp\.authorization\.denyPolicy\.matchExpressions\.1: .*nobody/,
  ],
  [
    'a limit by another header',
    textOf('scopes-agentgateway.yaml').replace(
      'headerName: X-User-ID, descriptorKey: person-requests',
      'headerName: X-Any, descriptorKey: person-requests',
    ),
    /only X-User-ID names whose requests they are/,
  ],
  [
    'a descriptor that is none',
    textOf('scopes-agentgateway.yaml').replace('descriptorKey: person-tokens', 'descriptorKey: nothing'),
    /there is no descriptor nothing/,
  ],
  [
    'tokens by the day',
    textOf('scopes-agentgateway.yaml').replace(
      'unit: MINUTE, requestsPerUnit: 5000',
      'unit: DAY, requestsPerUnit: 5000',
    ),
    /tokens are counted per MINUTE/,
  ],
  [
    'a key that is nearly one',
    gateway.replace('max_payload_kb', 'maxPayloadKB'),
    /x\.yaml:25: security\.limits\.maxPayloadKB: is not known; max_payload_kb is$/,
  ],
  ['a key like none', gateway.replace('max_payload_kb', 'zebra'), /x\.yaml:25: security\.limits\.zebra: is not known$/],
  [
    'a key of a tenant that is nearly one',
    entitled("  tenants:\n    acme:\n      denylists: ['notes/get_it']\n"),
    'x.yaml:6: entitlements.tenants.acme.denylists: is not known; denylist is',
  ],
  [
    'a target by a pattern',
    resource.replace('AgentgatewayBackend, name: notes', "AgentgatewayBackend, name: '*'"),
    /x\.yaml:7: spec\.targetRefs\.0\.name: must be the name of one server/,
  ],
  [
    'a target that is a part of a server',
    resource.replace('AgentgatewayBackend, name: notes', 'AgentgatewayBackend, name: notes, sectionName: drafts'),
    /x\.yaml:7: spec\.targetRefs\.0\.sectionName: is not known$/,
  ],
  [
    'a descriptor that nothing counts by',
    textOf('scopes-agentgateway.yaml').replace('descriptorKey: person-tokens', 'descriptorKey: person-requests'),
    /spec\.raw\.descriptors\.1: no limit counts by person-tokens/,
  ],
  [
    'a descriptor that is there twice',
    textOf('scopes-agentgateway.yaml').replace('key: person-tokens', 'key: person-requests'),
    /spec\.raw\.descriptors\.1: person-requests is used twice/,
  ],
  [
    'an egress list that names an address',
    gateway.replace('[api.example.com,', '[https://api.example.com,'),
    /x\.yaml:24: security\.egress_allowlist\.0: must be a host/,
  ],
  [
    'versions of what is no server',
    `${gateway}  allow_versions: { 'mcp://notes': ['2.*'] }\n`,
    /security\.allow_versions.*must be the name of a server|allow_versions\.mcp/,
  ],
  [
    'a pack with a pattern that RE2 does not take',
    `${gateway}${pack('(?=a)b')}`,
    /x\.yaml:30: compliance\.packs\.0\.rules\.0\.patterns\.0: .*RE2 does not take/,
  ],
  [
    'a pack that looks for nothing',
    `${gateway}${pack('x').replace("patterns: ['x']", 'patterns: []')}`,
    /compliance\.packs\.0\.rules\.0: a regex rule needs patterns/,
  ],
  ['a name that is used twice', `${resource}---\n${resource}`, /notes is used twice/],
])('%s is refused, with file, line and path', (_name, text, fault) => {
  let faults: readonly string[] = []
  try {
    load('x.yaml', text)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    faults = error.faults.map((line) => line.replace(/^policy\//, ''))
  }
  expect(faults.length).toBeGreaterThan(0)
  const asExpected = typeof fault === 'string' ? faults.join('\n') === fault : fault.test(faults.join('\n'))
  expect([asExpected, faults]).toEqual([true, faults])
})
