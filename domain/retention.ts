// How long the payload of a record is kept. The record itself, with the hashes of what went in and out, stays.

/** Days after which payloads are dropped. */
export const retentionClasses = ['30d', '90d', '180d'] as const
export type RetentionClass = (typeof retentionClasses)[number]

export const retentionDays: Readonly<Record<RetentionClass, number>> = { '30d': 30, '90d': 90, '180d': 180 }

/** What holds where no policy names a class. */
export const retentionDefault: RetentionClass = '90d'
