// The blocks of a tool gateway's configuration that stand beside its entitlements (contracts 14.2). A real file loads whole:
// what this installation says elsewhere, or nothing obeys yet, is named with its line.
import { z } from 'zod'
import { faultAt } from './foreign.ts'
import type { YamlSource } from './yaml.ts'

const text = z.string().min(1)
const texts = z.array(text)
const flag = z.boolean()
const count = z.number().int().nonnegative()

const Broker = z.strictObject({
  type: z.enum(['vendor_key_pool', 'oidc_on_behalf', 'static']),
  key_refs: texts.optional(),
  inject: z
    .strictObject({ header: text, format: z.enum(['raw', 'bearer', 'template']).optional(), template: text.optional() })
    .optional(),
})

/** Members of the file's top. Unknown keys at any depth are faults with their path. */
export const gatewayBlocks = {
  targets: z.record(text, z.url()).optional(),
  port: z.number().int().min(0).max(65_535).optional(),
  tenant: text.optional(),
  policyYaml: text.optional(),
  audit: z.strictObject({ append: z.unknown(), gatewayName: text, gatewayVersion: text }).partial().optional(),
  quotas: z.strictObject({ adapter: z.unknown() }).optional(),
  enforcement: z.strictObject({ mode: z.enum(['observe', 'enforce']) }).optional(),
  authn: z
    .strictObject({
      allowUnauthenticated: flag,
      mode: z.enum(['oidc', 'service_token', 'disabled']),
      oidc: z
        .strictObject({
          ...{ issuer: text, audience: z.union([text, texts]), jwks_uri: text, tenantClaim: text, userClaim: text },
          ...{ rolesClaim: text, subjectClaim: text, clientIdClaim: text },
        })
        .partial(),
    })
    .partial()
    .optional(),
  brokers: z.record(text, Broker).optional(),
  dedupe: z
    .strictObject({
      enabled: flag,
      duplicatePolicy: z.enum(['replay', 'reject']),
      ttlSec: z.number().int().min(30).max(86_400),
      namespace: text,
      redisUrl: text,
    })
    .partial()
    .optional(),
  ap2: z
    .strictObject({
      enabled: flag,
      requireForSideEffects: flag,
      headers: z.strictObject({ intent: text, cart: text, bundle: text }).partial(),
      trust: z.strictObject({ didMethods: texts, issuersAllowlist: texts, clockSkewSec: count }).partial(),
      tools: z.strictObject({ allow: texts }).partial(),
      mode: z.enum(['', 'observe', 'partial', 'full']),
    })
    .partial()
    .optional(),
  agentState: z
    .strictObject({ enableGatewayAnalytics: flag, includeAp2: flag, includeRisk: flag })
    .partial()
    .optional(),
  runtime: z
    .strictObject({
      enforcement: z
        .strictObject({
          mode: z.enum(['local', 'remote']),
          protocolVersion: text,
          failureMode: z.enum(['local', 'allow', 'deny']),
          remote: z
            .strictObject({
              ...{ endpoint: z.url(), apiKey: text, timeoutMs: count, maxRetries: count, retryBackoffMs: count },
              headers: z.record(text, z.string()),
            })
            .partial(),
        })
        .partial(),
    })
    .partial()
    .optional(),
} as const

type Blocks = z.output<z.ZodObject<typeof gatewayBlocks>>

const unheeded = {
  targets: 'tool servers are those in the catalogue of the installation',
  port: 'GATEHOUSE_PORT says where the API answers',
  tenant: 'the tenant of a caller is that of its membership',
  policyYaml: 'every file of the policy folder is read',
  audit: 'every decision is recorded, under the name of this gateway',
  quotas: 'GATEHOUSE_QUOTAS says where counters are kept',
  authn: 'callers sign in with their wallet; no other issuer is trusted yet',
  brokers: 'no credentials of upstreams are kept yet',
  dedupe: 'Idempotency-Key is obeyed by every mutating route; tool calls carry none yet',
  ap2: 'mandates are not read yet',
  agentState: 'agents are not analysed yet',
  runtime: 'decisions are made here, by nobody remote',
} as const satisfies Partial<Record<keyof Blocks, string>>

/** Blocks that nothing obeys, `file:line: path: why`. */
export function unheededBlocks(source: YamlSource, blocks: Blocks): string[] {
  return (Object.keys(unheeded) as (keyof typeof unheeded)[]).flatMap((name) =>
    blocks[name] === undefined ? [] : [faultAt(source, [name], unheeded[name])],
  )
}
