// UUID version 5 (RFC 9562 §5.5): a name in a namespace, always the same id. Ids of money are made so, because a retry
// must meet the row of the first attempt.
import { createHash } from 'node:crypto'

const namespace = Buffer.from('5f7e8c4b0a6d4c1f9b1de0a7c2f40d11', 'hex') // random, fixed for ever

/** UUIDv5 of a name in Gatehouse's own namespace. */
export function uuidV5(name: string): string {
  const digest = createHash('sha1').update(namespace).update(name, 'utf8').digest().subarray(0, 16)
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6)
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = digest.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
