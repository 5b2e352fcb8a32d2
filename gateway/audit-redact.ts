// Identity redaction: who acted becomes a pseudonym, the same for the same value within one export and another one in
// the next. What is not known to name nobody is replaced, with the names of its members, so that a new member of the
// record is closed until somebody decides. Hashes stay, and a redacted record still names its original. The original
// signature does not: with the public key it would tell a right guess of an identity from a wrong one.
import { createHmac, randomBytes } from 'node:crypto'

export type Redaction = {
  /** A record without identities. */
  readonly record: (record: Readonly<Record<string, unknown>>) => Record<string, unknown>
  /** A tenant's name; a wallet that is its own tenant gets a pseudonym. */
  readonly tenant: (name: string) => string
}

/** Members that name no person, at any depth; addresses in their texts are replaced all the same. */
const plain: ReadonlySet<string> = new Set([
  ...['id', 'seq', 'schema_version', 'ts', 'prev_sha256', 'kid', 'tenant', 'follows', 'effect_seq'],
  ...['trace_id', 'span_id', 'cause_trace', 'cause_span', 'approval_id', 'dlp_actions'],
  ...['gateway', 'name', 'version', 'origin', 'action', 'node_type', 'resource', 'server', 'tool', 'aud'],
  ...['nodeId', 'agentRef', 'act', 'kind', 'proof', 'htm', 'retries', 'input_sha256', 'output_sha256'],
  ...['policy', 'decision', 'policy_id', 'epoch', 'rules', 'rationale', 'retention'],
  ...['status', 'error_code', 'latency_ms'],
])

// RFC 6531 §3.3: letters of every script, and the marks of RFC 5322 §3.2.3; rather too much than half of one. A local part
// is looked for at its beginning only, so that a long text costs its length.
const addresses =
  /0x[0-9a-f]{40}(?![0-9a-f])|(?<![\p{L}\p{M}\p{N}_.!#$%&'*+=?^`{|}~-])[\p{L}\p{M}\p{N}_.!#$%&'*+=?^`{|}~-]+@[\p{L}\p{M}\p{N}_-]+(?:\.[\p{L}\p{M}\p{N}_-]+)*/giu

/** Pseudonyms of one export. Their key is kept nowhere. */
export function createRedaction(): Redaction {
  const key = randomBytes(32)
  const pseudonym = (value: string) =>
    `anon-${createHmac('sha256', key).update(value.toLowerCase(), 'utf8').digest('hex').slice(0, 20)}`
  const inText = (text: string) => text.replace(addresses, pseudonym)
  const hide = (value: unknown): unknown => {
    if (value === null) return null
    if (typeof value !== 'object') return pseudonym(String(value))
    if (Array.isArray(value)) return value.map(hide)
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [pseudonym(name), hide(member)]))
  }
  const redact = (name: string, value: unknown): unknown => {
    if (!plain.has(name)) return hide(value)
    if (typeof value === 'string') return inText(value)
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map((member) => redact(name, member))
    return isWorkload(value) ? { ...value, id: hide(value.id) } : mapped(value, redact)
  }
  return {
    tenant: inText,
    record: ({ sig: _sig, ...record }) => mapped(record, redact),
  }
}

// Agents are named by their catalogue; a workload by its SPIFFE id.
function isWorkload(value: object): value is { readonly id: unknown } {
  return 'kind' in value && value.kind === 'workload' && 'id' in value
}

function mapped(value: object, change: (name: string, member: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, change(name, member)]))
}
