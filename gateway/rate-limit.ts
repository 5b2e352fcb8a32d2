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
    `auth:address:${remoteAddress ?? 'unknown'}`,
    ...(wallet === undefined ? [] : [`auth:wallet:${wallet}`]),
  ]
  for (const key of keys) {
    const waitMs = await takeRate(pool, { key, perMinute: authRequestsPerMinuteMax, burst: authRequestsPerMinuteMax })
    if (waitMs > 0) throw new GatewayError('rate-limited', 'Too many sign-in requests.', { retryAfterMs: waitMs })
  }
}
