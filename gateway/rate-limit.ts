// Rate limits of the sign-in family: token buckets in Postgres, shared by all replicas.
import { takeRate } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { authRequestsPerMinuteMax } from '../domain/limits.ts'

/** Takes one request from the bucket of the caller's network address, and of the wallet it names. */
export async function limitSignIn(
  pool: Pool,
  { remoteAddress, wallet }: { remoteAddress: string | undefined; wallet: string | undefined },
): Promise<void> {
  const keys = [
    `auth:address:${remoteAddress === undefined ? 'unknown' : networkOf(remoteAddress)}`,
    ...(wallet === undefined ? [] : [`auth:wallet:${wallet}`]),
  ]
  for (const key of keys) {
    const waitMs = await takeRate(pool, { key, perMinute: authRequestsPerMinuteMax, burst: authRequestsPerMinuteMax })
    if (waitMs > 0) throw new GatewayError('rate-limited', 'Too many sign-in requests.', { retryAfterMs: waitMs })
  }
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
