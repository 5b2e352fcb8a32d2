// Shapes shared by many families: ids and paging.
import { z } from 'zod'
import { pageItemsDefault, pageItemsMax, pageOffsetMax } from '../domain/limits.ts'

export const Uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'must be a lower-case UUID')

// Postgres stores neither NUL nor half a surrogate pair; nobody types them.
const isPlainText = (text: string) =>
  !/\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)

/** Text that the database keeps. */
export const PlainText = z.string().refine(isPlainText, 'must be well-formed text without NUL')

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

/** A plain JSON object of at most `bytesMax` bytes as text. Postgres keeps no NUL in JSON, wherever it stands. */
export const smallJson = (bytesMax: number) =>
  z
    .record(PlainText.max(200), z.json())
    .refine((value) => isSmall(value, bytesMax), `must be plain JSON of at most ${bytesMax} bytes`)

function isSmall(value: unknown, bytesMax: number): boolean {
  const text = JSON.stringify(value)
  return Buffer.byteLength(text) <= bytesMax && !/\\u(0000|d[89a-f])/i.test(text)
}
