// What a reply says of rates and quotas (contracts 14).
import type { MeterSigns } from '../gateway/meters.ts'

/** Headers of what was taken; none where nothing limits. */
export function meterHeaders({ rateRemaining, quotaRemaining, quotaResetAt }: MeterSigns): Record<string, string> {
  return {
    ...(rateRemaining === undefined ? {} : { 'x-rate-remaining': String(rateRemaining) }),
    ...(quotaRemaining === undefined ? {} : { 'x-quota-remaining': String(quotaRemaining) }),
    ...(quotaResetAt === undefined ? {} : { 'x-quota-reset-at': quotaResetAt }),
  }
}
