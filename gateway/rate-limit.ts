// Rate limits of the sign-in family: token buckets in Postgres, shared by all replicas.
import { takeRate } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { authRequestsPerMinuteMax } from '../domain/limits.ts'

/** One request of somebody who has proved nothing: only its network address counts. */
export async function limitCaller(pool: Pool, remoteAddress: string | undefined): Promise<void> {
  await take(pool, `auth:address:${remoteAddress === undefined ? 'unknown' : networkOf(remoteAddress)}`)
}

/**
 * One sign-in of a wallet that has proved itself. Were the wallet counted before, whoever knows its address could keep
 * its owner out.
 */
export async function limitWallet(pool: Pool, wallet: string): Promise<void> {
  await take(pool, `auth:wallet:${wallet}`)
}

/** One revocation. Counted by the session that asks: a stolen one must not use up what ends it. */
export async function limitRevoking(pool: Pool, usid: string): Promise<void> {
  await take(pool, `auth:revoke:${usid}`)
}

async function take(pool: Pool, key: string): Promise<void> {
  const waitMs = await takeRate(pool, { key, perMinute: authRequestsPerMinuteMax, burst: authRequestsPerMinuteMax })
  if (waitMs > 0) throw new GatewayError('rate-limited', 'Too many sign-in requests.', { retryAfterMs: waitMs })
}

// A subscriber of IPv6 has at least a whole /64 (RFC 6177 §2): its first half is the caller. Without this, each request
// would come from an address of its own. An IPv4 address means the same in either of its forms.
function networkOf(remoteAddress: string): string {
  const [address = ''] = remoteAddress.split('%')
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address
  const [left = [], right = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''))
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
  return `${[...left, ...zeros, ...right].slice(0, 4).join(':')}::/64`
}
