// Which keys a form knows at a place, and which of them was meant by one it does not know. Only for the texts of faults:
// nothing is ever read under a key that was not written.
import { z } from 'zod'

/** Keys that the schema knows at a path; none where it is no object. */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const [part, ...rest] = path
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable)
    return keysAt(schema.unwrap() as z.ZodType, path)
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => keysAt(option as z.ZodType, path))
  if (schema instanceof z.ZodObject) {
    const shape: Readonly<Record<string, z.ZodType>> = schema.shape
    if (part === undefined) return Object.keys(shape)
    const member = Object.hasOwn(shape, part) ? shape[String(part)] : undefined
    return member === undefined ? [] : keysAt(member, rest)
  }
  if (part === undefined) return []
  if (schema instanceof z.ZodArray) return keysAt(schema.element as z.ZodType, rest)
  return schema instanceof z.ZodRecord ? keysAt(schema.valueType as z.ZodType, rest) : []
}

/** The known key that differs least, if it is still like the one that was written. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  const distances = known.map((each) => [each, distance(plain(key), plain(each))] as const)
  const [best] = distances.toSorted((a, b) => a[1] - b[1])
  return best !== undefined && best[1] <= Math.max(1, Math.floor(key.length / 3)) ? best[0] : undefined
}

// `max_payload_kb`, `maxPayloadKb` and `max-payload-kb` are one word to whoever writes them.
const plain = (key: string) => key.slice(0, 64).toLowerCase().replace(/[_-]/g, '')

// Levenshtein's distance, one row at a time.
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (const [y, letter] of Array.from(a).entries()) {
    const next = [y + 1]
    for (const [x, other] of Array.from(b).entries())
      next.push(Math.min((next[x] ?? 0) + 1, (row[x + 1] ?? 0) + 1, (row[x] ?? 0) + (letter === other ? 0 : 1)))
    row = next
  }
  return row[b.length] ?? 0
}
