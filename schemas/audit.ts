// One audit record: what was asked, by whom, what was decided by which rule, and how it ended. A fact whose source is
// not connected is null. Hashes stand for payloads, which are not kept.
import { z } from 'zod'
import { retentionClasses } from '../domain/retention.ts'

const Hash = z.string().regex(/^[0-9a-f]{64}$/)
const text = z.string().nullable()

export const auditSchemaVersion = 2

/**
 * `admitted`: allowed, and the effect follows under records of its own. `denied`: by a rule. `refused`: by the gate, the
 * money or the state of the turn. `unknown`: nobody said how it ended.
 */
export const AuditStatus = z.enum(['ok', 'error', 'admitted', 'held', 'denied', 'refused', 'unknown'])
export type AuditStatus = z.output<typeof AuditStatus>

const Policy = z.strictObject({
  decision: z.enum(['allow', 'deny', 'require']),
  policy_id: z.string(),
  version: z.number().int(),
  epoch: z.number().int(),
  rules: z.array(z.string()),
  rationale: z.string(),
  /** Null in records of the first form. */
  retention: z.enum(retentionClasses).nullable(),
})

const Proof = z.strictObject({
  kind: z.enum(['none', 'dpop', 'mtls', 'erc8128', 'tgp']),
  thumbprint: text,
  jti: text,
  htm: text,
  htu: text,
  ath: text,
  mtls_thumbprint: text,
  nonce: text,
})

/** Known before the effect: stored with the attempt, before any byte leaves. */
export const AuditIntent = z.strictObject({
  schema_version: z.number().int().min(1).max(auditSchemaVersion),
  ts: z.iso.datetime(),
  trace_id: text,
  span_id: text,
  cause_trace: text,
  cause_span: text,
  tenant: z.string(),
  gateway: z.strictObject({ name: z.string(), version: z.string() }),
  origin: z.string(),
  action: z.string(),
  node_type: z.string(),
  resource: z.string(),
  server: text,
  tool: text,
  retries: z.number().int().nonnegative(),
  input_sha256: Hash.nullable(),
  policy: Policy,
  idempotency_key: z.string(),
  /** Place in the order of attempts and revocations; null for a lean read and for what never began. */
  effect_seq: z.number().int().nullable(),
  nodeId: text,
  agentRef: text,
  /** What the caller claims of its run; it authorises nothing. */
  agentVariables: z.record(z.string(), z.string()).nullable(),
  usid: z.string(),
  wsid: text,
  asid: text,
  msid: text,
  sub: z.string(),
  wallet_id: z.string(),
  aan: text,
  spiffe_id: text,
  act: z.array(z.strictObject({ kind: z.enum(['agent', 'workload']), id: z.string() })),
  aud: text,
  proof: Proof,
  allowlist_match: text,
  dlp_actions: z.array(z.string()),
  approval_id: text,
  /** Id of the record that this one completes: its outcome came after it had been sealed as unknown. */
  follows: text,
})
export type AuditIntent = z.output<typeof AuditIntent>

/** Known when it is over. */
export const AuditOutcome = z.strictObject({
  status: AuditStatus,
  error_code: text,
  latency_ms: z.number().int().nonnegative().nullable(),
  output_sha256: Hash.nullable(),
})
export type AuditOutcome = z.output<typeof AuditOutcome>

/** A link of a tenant's chain. `sig` covers the canonical JSON of all other members. */
export const AuditRecord = z.strictObject({
  ...AuditIntent.shape,
  ...AuditOutcome.shape,
  id: z.string(),
  seq: z.number().int().positive(),
  /** SHA-256 of the previous record's canonical JSON, signature included; zeros for the first. */
  prev_sha256: Hash,
  /** Key that signed. */
  kid: z.string(),
  sig: z.string().regex(/^ed25519:[A-Za-z0-9+/]{86}==$/),
})
export type AuditRecord = z.output<typeof AuditRecord>

/** What a verifier needs of a record of any schema version. */
export const ChainLink = z.looseObject({
  tenant: z.string(),
  seq: z.number().int().positive(),
  prev_sha256: Hash,
  kid: z.string(),
  sig: z.string(),
})
export type ChainLink = z.output<typeof ChainLink>

/**
 * What a tenant's chain looked like at a moment: `root` is the SHA-256 of the record `seq`, and stands for all before it.
 * `sig` covers the canonical JSON of all other members.
 */
export const AuditCheckpoint = z.strictObject({
  tenant: z.string(),
  seq: z.number().int().positive(),
  root: Hash,
  ts: z.iso.datetime(),
  kid: z.string(),
  sig: z.string().regex(/^ed25519:[A-Za-z0-9+/]{86}==$/),
})
export type AuditCheckpoint = z.output<typeof AuditCheckpoint>

/** A line of a spool: an intent, the outcome of an intent of the same spool, or both at once. */
export const SpoolLine = z.object({
  id: z.uuid(),
  intent: z.record(z.string(), z.unknown()).optional(),
  outcome: z.record(z.string(), z.unknown()).optional(),
})
