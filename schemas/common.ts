// Shapes shared by many families: addresses, money on the wire, paging.
import { z } from 'zod'
import { pageItemsDefault, pageItemsMax, pageOffsetMax } from '../domain/limits.ts'

/** A wallet address in any case; inside it is lower-case. */
export const Address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'must be 0x and 40 hexadecimal digits')
  .transform((text) => text.toLowerCase())

export const Uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'must be a lower-case UUID')

const count = (max: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().int().max(max))
    .default(fallback)

/** `limit` and `offset` of the compatible families. */
export const Page = z.object({ limit: count(pageItemsMax, pageItemsDefault), offset: count(pageOffsetMax, 0) })
export type Page = z.output<typeof Page>
