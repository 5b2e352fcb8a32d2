// AgentGateway-style resources (contracts 18): authorization by CEL, rate limits, and what else such files carry. Any deny
// that holds refuses; where an allow targets a server, what no allow names is refused.
import { z } from 'zod'
import { policyConditionCharsMax } from '../../domain/limits.ts'
import type { CompileCondition, Phase, Policy, Rule, RuleMatch } from '../../domain/policy/rule.ts'
import { faultAt, limitOf, noneOf, parseForm, policyIdOf, toRules, type RuleParts } from './foreign.ts'
import { count, Metadata, rateLimits } from './rate-limit-config.ts'
import { PolicyError, type YamlSource } from './yaml.ts'

const Expressions = z.strictObject({ matchExpressions: z.array(z.string().min(1).max(policyConditionCharsMax)).min(1) })
const targetRefs = z
  .array(
    z.strictObject({
      group: z.string(),
      kind: z.string(),
      // A name, never a pattern: a star in it would open every server. A part of a server cannot be named: read as the
      // whole, it would open more than was written.
      name: z.string().regex(/^[A-Za-z0-9._-]+$/, 'must be the name of one server'),
    }),
  )
  .min(1)
const Guarded = z.strictObject({
  regex: z
    .strictObject({
      action: z.enum(['Reject', 'Mask']),
      builtins: z.array(z.enum(['Ssn', 'CreditCard', 'PhoneNumber', 'CaSin', 'Email'])).optional(),
      matches: z.array(z.unknown()).optional(),
    })
    .optional(),
  response: z
    .strictObject({ message: z.string(), statusCode: z.number().int().min(200).max(599).optional() })
    .optional(),
})

const AgentgatewayPolicyText = z.strictObject({
  apiVersion: z.literal('agentgateway.dev/v1alpha1'),
  kind: z.literal('AgentgatewayPolicy'),
  metadata: Metadata,
  spec: z.strictObject({
    targetRefs,
    open: z.boolean().optional(),
    backend: z.strictObject({
      mcp: z
        .strictObject({
          authorization: z
            .strictObject({
              action: z.enum(['Allow', 'Deny']),
              policy: Expressions,
              denyPolicy: Expressions.optional(),
            })
            .optional(),
          rateLimit: z
            .strictObject({
              requestsPerMinute: count,
              burstSize: count.optional(),
              perUser: z.boolean().default(false),
            })
            .optional(),
          timeout: z.strictObject({ toolCallMs: count }).optional(),
          toolAuth: z.strictObject({ defaultAction: z.enum(['Allow', 'Deny']) }).optional(),
        })
        .optional(),
      ai: z
        .strictObject({
          promptGuard: z
            .strictObject({ request: z.array(Guarded).optional(), response: z.array(Guarded).optional() })
            .optional(),
          prompt: z.strictObject({ prepend: z.unknown().optional(), append: z.unknown().optional() }).optional(),
        })
        .optional(),
    }),
  }),
})

const EnterprisePolicyText = z.strictObject({
  apiVersion: z.string().min(1),
  kind: z.literal('EnterpriseAgentgatewayPolicy'),
  metadata: Metadata,
  spec: z.strictObject({
    targetRefs,
    traffic: z.strictObject({
      jwtAuthentication: z.strictObject({
        mode: z.literal('Strict'),
        providers: z.array(
          z.strictObject({
            issuer: z.string().min(1),
            audiences: z.array(z.string()).optional(),
            jwks: z.strictObject({
              inline: z.string().optional(),
              remote: z.strictObject({ url: z.string(), cacheDuration: z.string().optional() }).optional(),
            }),
          }),
        ),
      }),
    }),
  }),
})

/** Compiles the resources of one file. Throws PolicyError with every fault of all of them. */
export function compileAgentgateway(sources: readonly YamlSource[], compileCondition: CompileCondition): Policy {
  const faults: string[] = []
  const rules: Rule[] = []
  const notEnforced: string[] = []
  const allows: Rule[] = []
  const policyId = policyIdOf(sources[0]?.name ?? '')
  for (const source of sources) {
    try {
      const made = compileResource({ source, policyId, compileCondition, allows })
      rules.push(...made.rules)
      notEnforced.push(...made.notEnforced)
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error
      faults.push(...error.faults)
    }
  }
  const names = rules.map(({ id }) => id)
  const twice = rules.filter(({ id }, index) => names.indexOf(id) < index)
  for (const { id, source } of twice) faults.push(`${source}: ${id.split(':')[0] ?? id} is used twice`)
  if (faults.length > 0) throw new PolicyError(faults)
  return { policyId, version: 1, rules, notEnforced }
}

type Made = Pick<Policy, 'rules' | 'notEnforced'>

function compileResource(compiling: Compiling): Made {
  const { source, policyId } = compiling
  const { value } = source
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
  if (kind === 'RateLimitConfig') return { rules: toRules(source, policyId, rateLimits(source)), notEnforced: [] }
  if (kind === 'EnterpriseAgentgatewayPolicy') {
    const { metadata } = parseForm(source, EnterprisePolicyText)
    const sentence = 'callers sign in with their wallet; no other issuer is trusted yet'
    const path = ['spec', 'traffic', 'jwtAuthentication']
    return { rules: [], notEnforced: [faultAt(source, path, `${metadata.name}: ${sentence}`)] }
  }
  if (kind === 'AgentgatewayPolicy') return compilePolicyResource(compiling)
  throw new PolicyError([faultAt(source, ['kind'], `${String(kind)} is no kind of resource that is known`)])
}

type Compiling = {
  readonly source: YamlSource
  readonly policyId: string
  readonly compileCondition: CompileCondition
  /** Allows of all resources of the file: what closes one server is what none of them allows. */
  readonly allows: Rule[]
}

function compilePolicyResource(compiling: Compiling): Made {
  const { source, policyId } = compiling
  const { metadata, spec } = parseForm(source, AgentgatewayPolicyText)
  const { mcp, ai } = spec.backend
  const match: RuleMatch = {
    tools: spec.targetRefs.map(({ kind, name }) => ({ server: /gateway$/i.test(kind) ? '*' : name, tool: '*' })),
  }
  const named = { name: metadata.name, match }
  const rules = authorization(compiling, { ...named, mcp, open: spec.open === true })
  if (mcp?.rateLimit) {
    const { requestsPerMinute: amount, burstSize, perUser } = mcp.rateLimit
    const burst = burstSize === undefined ? {} : { burst: burstSize }
    const per = perUser ? ('human' as const) : ('tenant' as const)
    rules.push(
      ...toRules(source, policyId, [
        {
          id: `${metadata.name}:rate`,
          path: ['spec', 'backend', 'mcp', 'rateLimit'],
          match: { ...match, actions: ['tool.call'] },
          phases: ['call'],
          effect: limitOf({ meter: 'requests-per-minute', amount, ...burst, per, rank: 'default' }),
          reason: `So many requests a minute: ${amount}.`,
        },
      ]),
    )
  }
  const unheeded = [
    [mcp?.timeout, ['mcp', 'timeout'], 'calls have one deadline'],
    [ai?.promptGuard, ['ai', 'promptGuard'], 'prompts are not looked through yet'],
    [ai?.prompt, ['ai', 'prompt'], 'prompts are not added to'],
  ] as const
  const notEnforced = unheeded.flatMap(([given, path, sentence]) =>
    given === undefined ? [] : [faultAt(source, ['spec', 'backend', ...path], `${metadata.name}: ${sentence}`)],
  )
  return { rules, notEnforced }
}

type Mcp = NonNullable<z.output<typeof AgentgatewayPolicyText>['spec']['backend']['mcp']>
type Authorizing = {
  readonly name: string
  readonly match: RuleMatch
  readonly mcp: Mcp | undefined
  readonly open: boolean
}

// An expression is one rule: any of them that holds counts.
function authorization(compiling: Compiling, { name, match, mcp, open }: Authorizing): Rule[] {
  const { source, policyId } = compiling
  const block = mcp?.authorization
  const path = ['spec', 'backend', 'mcp', 'authorization']
  const faults: string[] = []
  const expressions = (kind: 'allow' | 'deny', texts: readonly string[], at: readonly PropertyKey[]): RuleParts[] =>
    texts.flatMap((text, index) => {
      const read = compileFor(compiling, text, kind)
      if ('faults' in read) {
        faults.push(...read.faults.map((fault) => faultAt(source, [...at, index], fault)))
        return []
      }
      const { condition: when, phases } = read
      const effect = kind === 'allow' ? { kind } : { kind, hard: false }
      const reason = kind === 'allow' ? 'An expression allows it.' : 'An expression denies it.'
      return [
        {
          id: `${name}:${kind}:${index}`,
          path: [...at, index],
          match,
          when,
          phases,
          effect,
          reason,
        } satisfies RuleParts,
      ]
    })
  const texts = block?.policy.matchExpressions ?? []
  const listed =
    block === undefined
      ? []
      : expressions(block.action === 'Allow' ? 'allow' : 'deny', texts, [...path, 'policy', 'matchExpressions'])
  const denied = expressions('deny', block?.denyPolicy?.matchExpressions ?? [], [
    ...path,
    'denyPolicy',
    'matchExpressions',
  ]).map((part) => ({ ...part, id: part.id.replace(':deny:', ':denyPolicy:') }))
  if (faults.length > 0) throw new PolicyError(faults)
  const rules = toRules(source, policyId, [...listed, ...denied])
  const allows = rules.filter(({ effect }) => effect.kind === 'allow')
  compiling.allows.push(...allows)
  const rest: RuleParts[] = []
  const isOpen = open || mcp?.toolAuth?.defaultAction === 'Allow'
  if (isOpen && allows.length > 0)
    throw new PolicyError([faultAt(source, path, 'an Allow closes the server, and the file opens it')])
  if (isOpen)
    rest.push({ id: `${name}:open`, path: ['spec'], match, effect: { kind: 'allow' }, reason: 'The server is open.' })
  else if (allows.length > 0 || mcp?.toolAuth?.defaultAction === 'Deny')
    rest.push({
      id: `${name}:no-match`,
      path,
      match,
      when: noneOf(compiling.allows),
      effect: { kind: 'deny', hard: false },
      reason: 'No expression allows it.',
    })
  return [...rules, ...toRules(source, policyId, rest)]
}

// Allows say what is listed and what may be called, so they cannot read arguments; a deny that does is asked when a call
// is made, and the tool stays listed.
function compileFor(
  { compileCondition }: Compiling,
  text: string,
  kind: 'allow' | 'deny',
): { condition: NonNullable<Rule['when']>; phases: readonly Phase[] } | { faults: readonly string[] } {
  const both: readonly Phase[] = ['list', 'call']
  const read = compileCondition(text, both)
  if (!('faults' in read)) return { condition: read.condition, phases: both }
  if (kind === 'allow') return read
  const inCalls = compileCondition(text, ['call'])
  return 'faults' in inCalls ? read : { condition: inCalls.condition, phases: ['call'] }
}
