// Before a lock that many want, a few pass at a time.
import { expect, test } from 'vitest'
import { createLanes } from '../../gateway/lanes.ts'

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('who waits too long is refused without having run, and leaves no place behind', async () => {
  const lanes = createLanes({ width: 1, waitMs: 30 })
  let free = () => {}
  const first = lanes.run('a', () => new Promise<void>((resolve) => (free = resolve)))
  let ran = false
  const late = lanes.run('a', async () => void (ran = true))
  await expect(late).rejects.toMatchObject({ code: 'database-unavailable', retryAfterMs: 2_000 })
  expect(ran).toBe(false)
  free()
  await first
  expect(await lanes.run('a', async () => 'next')).toBe('next')
})

test('no more than the width at a time, in order; another key does not wait; a failure makes room', async () => {
  const lanes = createLanes({ width: 3, waitMs: 5_000 })
  let running = 0
  let most = 0
  const order: number[] = []
  const work = (index: number) => async () => {
    running += 1
    most = Math.max(most, running)
    order.push(index)
    await after(2)
    running -= 1
    if (index % 4 === 0) throw new Error('no')
  }
  const all = Promise.allSettled(Array.from({ length: 40 }, (_none, index) => lanes.run('a', work(index))))
  expect(await Promise.race([lanes.run('b', async () => 'other'), after(1).then(() => 'waited')])).toBe('other')
  const ends = (await all).map(({ status }) => status)
  expect([most, ends.filter((end) => end === 'rejected').length]).toEqual([3, 10])
  expect(order).toEqual(order.toSorted((a, b) => a - b))
  expect(await lanes.run('a', async () => 'again')).toBe('again')
})
