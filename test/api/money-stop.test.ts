// Stopped money is said by health and readiness, and takes no process out of service.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const read = async (path: string) => {
  const reply = await fetch(`${api.url}${path}`)
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> }
}

test('health and readiness say that money is stopped, and readiness stays', async () => {
  expect(await read('/ready')).toMatchObject({ status: 200, body: { ready: true, money: 'ok' } })
  await api.database.pool.query("SELECT money_halt(NULL, 'a test')")
  await expect
    .poll(() => read('/health'), { timeout: 3_000 })
    .toMatchObject({
      body: { securityPosture: { degraded: true, degradedReasons: expect.arrayContaining(['money_stopped']) } },
    })
  expect(await read('/ready')).toMatchObject({ status: 200, body: { ready: true, money: 'stopped' } })
})
