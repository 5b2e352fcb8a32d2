// Identity redaction: who acted becomes a pseudonym, the same for the same value within one export and another one in
// the next. Hashes stay, so that a redacted record still names its original. The original signature does not: with the
// public key it would tell a right guess of an identity from a wrong one.
import { createHmac, randomBytes } from 'node:crypto'

export type Redaction = {
  /** A record without identities. */
  readonly record: (record: Readonly<Record<string, unknown>>) => Record<string, unknown>
  /** A tenant's name; a wallet that is its own tenant gets a pseudonym. */
  readonly tenant: (name: string) => string
}

/** Members that name a person, a session of one, a credential, or text of the caller's. Everything below them is replaced. */
const identities: ReadonlySet<string> = new Set([
  ...['sub', 'wallet_id', 'usid', 'wsid', 'asid', 'msid', 'aan', 'spiffe_id', 'idempotency_key', 'agentVariables'],
  ...['thumbprint', 'mtls_thumbprint', 'jti', 'ath', 'nonce', 'htu', 'allowlist_match'],
])

const addresses = /0x[0-9a-fA-F]{40}(?![0-9a-fA-F])|[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g

/** Pseudonyms of one export. Their key is kept nowhere. */
export function createRedaction(): Redaction {
  const key = randomBytes(32)
  const pseudonym = (value: string) =>
    `anon-${createHmac('sha256', key).update(value.toLowerCase(), 'utf8').digest('hex').slice(0, 20)}`
  const inText = (text: string) => text.replace(addresses, pseudonym)
  const hide = (value: unknown): unknown => {
    if (typeof value === 'string') return pseudonym(value)
    if (typeof value === 'object' && value !== null) return mapped(value, (_name, member) => hide(member))
    return value
  }
  const redact = (name: string, value: unknown): unknown => {
    if (identities.has(name)) return hide(value)
    if (typeof value === 'string') return inText(value)
    return typeof value === 'object' && value !== null ? mapped(value, redact) : value
  }
  return {
    tenant: inText,
    record({ sig: _sig, ...record }) {
      return mapped(record, redact) as Record<string, unknown>
    },
  }
}

// Names of free members may be anything; those of a list are its places.
function mapped(value: object, change: (name: string, member: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((member) => change('', member))
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, change(name, member)]))
}
