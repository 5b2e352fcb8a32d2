// Resources of the kind RateLimitConfig (contracts 18): requests and tokens of a person, whom the verified subject names.
import { z } from 'zod'
import { meterAmountMax } from '../../domain/limits.ts'
import type { Action, LimitEffect } from '../../domain/policy/rule.ts'
import { faultAt, limitOf, parseForm, type RuleParts } from './foreign.ts'
import { PolicyError, type YamlSource } from './yaml.ts'

/** Whole units of a limit. */
export const count = z.number().int().positive().max(meterAmountMax)
/** Name of a resource, and what its cluster keeps beside it. */
export const Metadata = z.strictObject({
  name: z.string().min(1),
  namespace: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
})

const Descriptor = z.strictObject({
  key: z.string().min(1),
  rateLimit: z.strictObject({ unit: z.enum(['SECOND', 'MINUTE', 'DAY']), requestsPerUnit: count }),
})
const RateLimitText = z.strictObject({
  apiVersion: z.string().min(1),
  kind: z.literal('RateLimitConfig'),
  metadata: Metadata,
  spec: z.strictObject({
    raw: z.strictObject({
      descriptors: z.array(Descriptor).min(1),
      rateLimits: z
        .array(
          z.strictObject({
            type: z.enum(['REQUEST', 'TOKEN']).default('REQUEST'),
            actions: z
              .array(
                z.strictObject({
                  requestHeaders: z.strictObject({
                    // Whose requests they are says the verified subject; a header of the caller's is dropped.
                    headerName: z.string().regex(/^x-user-id$/i, 'only X-User-ID names whose requests they are'),
                    descriptorKey: z.string().min(1),
                  }),
                }),
              )
              .length(1),
          }),
        )
        .min(1),
    }),
  }),
})

const units = { SECOND: 'calls-per-second', MINUTE: 'requests-per-minute', DAY: 'calls-per-day' } as const

/** Limits of one resource. Throws PolicyError with every fault. */
export function rateLimits(source: YamlSource): RuleParts[] {
  const { metadata, spec } = parseForm(source, RateLimitText)
  const faults = spec.raw.descriptors.flatMap(({ key }, index, all) => {
    const path = ['spec', 'raw', 'descriptors', index]
    if (all.findIndex((each) => each.key === key) < index) return [faultAt(source, path, `${key} is used twice`)]
    const isUsed = spec.raw.rateLimits.some(({ actions: [action] }) => action?.requestHeaders.descriptorKey === key)
    return isUsed ? [] : [faultAt(source, path, `no limit counts by ${key}`)]
  })
  const parts = spec.raw.rateLimits.flatMap(({ type, actions: [action] }, index): RuleParts[] => {
    const key = action?.requestHeaders.descriptorKey
    const descriptor = spec.raw.descriptors.find((each) => each.key === key)
    const path = ['spec', 'raw', 'rateLimits', index]
    if (descriptor === undefined) {
      faults.push(faultAt(source, path, `there is no descriptor ${key}`))
      return []
    }
    const { unit, requestsPerUnit: amount } = descriptor.rateLimit
    if (type === 'TOKEN' && unit !== 'MINUTE') {
      faults.push(faultAt(source, path, 'tokens are counted per MINUTE'))
      return []
    }
    const meter: LimitEffect['meter'] = type === 'TOKEN' ? 'tokens-per-minute' : units[unit]
    const actions: Action[] = type === 'TOKEN' ? ['chat.submit', 'model.call'] : ['chat.submit']
    const effect = limitOf({ meter, amount, per: 'human', rank: 'default' })
    const reason = `So many of a person: ${amount} per ${unit.toLowerCase()}.`
    return [{ id: `${metadata.name}:${index}`, path, match: { actions }, phases: ['call'], effect, reason }]
  })
  if (faults.length > 0) throw new PolicyError(faults)
  return parts
}
