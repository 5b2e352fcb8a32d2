// The installation's signing keys: ES256 for access tokens, Ed25519 for the audit chain. Rows in Postgres, private parts
// sealed, shared by all replicas; one is active per purpose, retired ones still verify.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import type { Seal } from '../crypto/seal.ts'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import type { Client, Pool } from '../db/pool.ts'
import {
  activateSigningKey,
  listSigningKeys,
  lockSigningKeys,
  type KeyPurpose,
  type SigningKeyRow,
} from '../db/signing-key.ts'
import { inTransaction } from '../db/transaction.ts'
import { invariant } from '../domain/errors.ts'
import { signingKeyReloadMs, unknownKeyReloadMs } from '../domain/limits.ts'
import { housePrincipal, ownDecision, recordAct } from './house-record.ts'
import type { Clock } from './ports.ts'

export type PublicKey = {
  readonly kid: string
  readonly purpose: KeyPurpose
  readonly jwk: Readonly<Record<string, unknown>>
  readonly key: KeyObject
}

export type SigningKeys = {
  readonly active: (purpose: KeyPurpose) => { readonly kid: string; readonly privateKey: KeyObject }
  /** Signature over the bytes by the active key: Ed25519 for `audit`, ES256 (r‖s) for `access-token`. */
  readonly sign: (purpose: KeyPurpose, bytes: Uint8Array) => { readonly kid: string; readonly signature: Buffer }
  /** All keys of a purpose, retired ones too. */
  readonly publicKeys: (purpose: KeyPurpose) => readonly PublicKey[]
  /** The same, read from the rows now: another process may sign with a key that this one has not heard of yet. */
  readonly latest: (purpose: KeyPurpose) => Promise<readonly PublicKey[]>
  /**
   * A key by id. Unknown ids read the rows at most once per second, so that whoever makes them up costs little and keeps
   * no new key of ours from being found. Throws what kept the rows from being read.
   */
  readonly find: (kid: string) => Promise<PublicKey | undefined>
  /** Reads the rows again, at most once per 30 s, so that a key that was replaced elsewhere signs no longer. */
  readonly refresh: () => Promise<void>
  /** Makes a new active key, on record; other processes sign with it within 30 s. */
  readonly rotate: (purpose: KeyPurpose, by?: string) => Promise<string>
}

const purposes: readonly KeyPurpose[] = ['access-token', 'audit']

type Loaded = PublicKey & { readonly privateKey: KeyObject; readonly active: boolean }

/** Loads the keys, making what is missing under a lock. */
export async function createSigningKeys(deps: { pool: Pool; seal: Seal; clock: Clock }): Promise<SigningKeys> {
  let keys = await load(deps)
  const missing = purposes.filter((purpose) => !keys.some((key) => key.purpose === purpose && key.active))
  if (missing.length > 0) {
    await create(deps, missing, null)
    keys = await load(deps)
  }
  const reloadOnce = atMostEvery(deps.clock, async () => void (keys = await load(deps)))
  const active = (purpose: KeyPurpose) => {
    const key = keys.find((candidate) => candidate.purpose === purpose && candidate.active)
    invariant(key, 'Every purpose has an active key.')
    return key
  }
  return {
    active,
    sign(purpose, bytes) {
      const { kid, privateKey } = active(purpose)
      const signature =
        purpose === 'audit'
          ? sign(null, bytes, privateKey)
          : sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return { kid, signature }
    },
    publicKeys: (purpose) => keys.filter((key) => key.purpose === purpose),
    async latest(purpose) {
      keys = await load(deps)
      return keys.filter((key) => key.purpose === purpose)
    },
    async find(kid) {
      const known = keys.find((key) => key.kid === kid)
      if (known) return known
      await reloadOnce(unknownKeyReloadMs)
      return keys.find((key) => key.kid === kid)
    },
    refresh: () => reloadOnce(signingKeyReloadMs),
    async rotate(purpose, by = 'keys') {
      await create(deps, [purpose], by)
      keys = await load(deps)
      return active(purpose).kid
    },
  }
}

// Reads again unless it did within the time; who asks meanwhile waits for the same answer. What kept it from reading is
// thrown until it reads, which is tried every second.
function atMostEvery(clock: Clock, read: () => Promise<void>): (everyMs: number) => Promise<void> {
  let readAt = Number.NEGATIVE_INFINITY
  let reading: Promise<void> | undefined
  let fault: unknown
  const readAgain = async (everyMs: number) => {
    const ageMs = clock().getTime() - readAt
    const restMs = fault === undefined ? everyMs : unknownKeyReloadMs
    if (ageMs >= 0 && ageMs < restMs) {
      if (fault !== undefined) throw fault
      return
    }
    readAt = clock().getTime()
    try {
      await read()
      fault = undefined
    } catch (error) {
      fault = error
      throw error
    }
  }
  return (everyMs) => (reading ??= readAgain(everyMs).finally(() => (reading = undefined)))
}

async function create(
  deps: { pool: Pool; seal: Seal },
  wanted: readonly KeyPurpose[],
  replacedBy: string | null,
): Promise<void> {
  await inTransaction(deps.pool, async (client) => {
    await lockSigningKeys(client)
    const rows = await listSigningKeys(client)
    for (const purpose of wanted) {
      // Another process may have been first while we waited for the lock.
      if (replacedBy === null && rows.some((row) => row.purpose === purpose && row.state === 'active')) continue
      const key = generate(deps.seal, purpose)
      await activateSigningKey(client, key)
      if (replacedBy !== null) await recordRotation(client, key, replacedBy)
    }
  })
}

async function recordRotation(
  client: Client,
  { kid, purpose }: Pick<SigningKeyRow, 'kid' | 'purpose'>,
  by: string,
): Promise<void> {
  await recordAct(client, {
    principal: housePrincipal(by),
    action: 'key.rotate',
    resource: { kind: 'key', name: `${purpose} ${kid}` },
    facts: { purpose, kid },
    origin: 'house',
    effectKey: `key.rotate:${kid}`,
    decision: ownDecision('operator-rotates', 'Who has the master key and the database may rotate keys.'),
  })
}

function generate(seal: Seal, purpose: KeyPurpose): Omit<SigningKeyRow, 'state'> {
  const pair = purpose === 'audit' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = pair.publicKey.export({ format: 'jwk' })
  const kid = thumbprint(jwk)
  const algorithm = purpose === 'audit' ? 'EdDSA' : 'ES256'
  const sealed = seal.seal(`signing-key/${kid}`, pair.privateKey.export({ format: 'der', type: 'pkcs8' }))
  return { kid, purpose, algorithm, publicJwk: { ...jwk, kid, alg: algorithm, use: 'sig' }, sealed }
}

/** RFC 7638 §3: SHA-256 over the required members in lexicographic order. */
function thumbprint(jwk: Readonly<Record<string, unknown>>): string {
  const { crv, kty, x, y } = jwk
  return createHash('sha256').update(canonicalJson({ crv, kty, x, y })).digest('base64url')
}

async function load({ pool, seal }: { pool: Pool; seal: Seal }): Promise<Loaded[]> {
  return (await listSigningKeys(pool)).map((row) => ({
    kid: row.kid,
    purpose: row.purpose,
    jwk: row.publicJwk,
    key: createPublicKey({ key: row.publicJwk, format: 'jwk' }),
    privateKey: createPrivateKey({
      key: seal.open(`signing-key/${row.kid}`, row.sealed),
      format: 'der',
      type: 'pkcs8',
    }),
    active: row.state === 'active',
  }))
}
