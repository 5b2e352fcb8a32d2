// Opaque cursors of `/api/v1`: a kind and a place, base64url. They carry no right: whoever makes one up reads what the
// same caller could have read anyway.
import { GatewayError } from '../domain/errors.ts'

type CursorKind = 'records' | 'checkpoints' | 'verify'

export function sealCursor(kind: CursorKind, place: string): string {
  return Buffer.from(`${kind}:${place}`, 'utf8').toString('base64url')
}

/** The place in a cursor of this kind. Throws `request-invalid` for anything else. */
export function openCursor(kind: CursorKind, cursor: string, shape: RegExp): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8')
  const place = text.slice(kind.length + 1)
  if (text.startsWith(`${kind}:`) && shape.test(place) && sealCursor(kind, place) === cursor) return place
  throw new GatewayError('request-invalid', 'The cursor is not one of this list.', { details: { field: 'cursor' } })
}
