// A reply that is too large to keep: its work is not done again.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'
import { createIdempotency } from '../../gateway/idempotency.ts'
import { createTestDatabase } from '../support/database.ts'

test('the same request again is told that it was done, and does nothing', async () => {
  await using database = await createTestDatabase()
  const { once } = createIdempotency({ pool: database.pool, seal: createSeal(randomBytes(32)), replyBytesMax: 100 })
  const order = { owner: 'wallet:0x1', route: 'post /x', key: 'k', asked: { body: 1 }, isSecret: false }
  let done = 0
  const work = async () => {
    done += 1
    return { status: 200, body: 'x'.repeat(200) }
  }
  expect(await once(order, work)).toMatchObject({ status: 200, kept: false })
  await expect(once(order, work)).rejects.toMatchObject({ code: 'idempotency-reply-lost' })
  await expect(once({ ...order, asked: { body: 2 } }, work)).rejects.toMatchObject({ code: 'idempotency-key-reused' })
  expect(done).toBe(1)
})
