// The supervisor is killed: its children end by themselves, and a new start with the same state folder works with all
// data, whatever was left behind.
import { afterAll, expect, test } from 'vitest'
import { isAlive, startInstallation, until, type Installation } from '../support/installation.ts'
import { signIn } from '../support/person.ts'

const houses: Installation[] = []

afterAll(async () => {
  for (const house of houses) await house[Symbol.asyncDispose]()
}, 30_000)

async function start(options: Parameters<typeof startInstallation>[0] = {}): Promise<Installation> {
  const house = await startInstallation(options)
  houses.push(house)
  return house
}

test('a second supervisor on the same state folder is refused and told why', async () => {
  const house = await start({ keepState: true })
  await expect(startInstallation({ stateDir: house.stateDir, keepState: true, readyMsMax: 20_000 })).rejects.toThrow(
    /already runs/,
  )
}, 90_000)

test('after SIGKILL of the supervisor the children end, and a new start has all data and leaves nothing behind', async () => {
  const [killed] = houses
  if (!killed) throw new Error('An installation runs.')
  const { pids, api } = await killed.run()
  const person = await signIn(api[0] ?? '')
  await person.json('POST', '/wallet/faucet')
  await killed.kill()
  const children = [...pids.api, ...pids.durable, pids.model]
  await until(() => !children.some(isAlive), 20_000)
  const again = await start({ stateDir: killed.stateDir, port: killed.port })
  expect(again.readyMs).toBeLessThan(20_000)
  const now = await again.run()
  expect(now.pids.postgres).toBe(pids.postgres) // adopted
  expect(isAlive(pids.temporal)).toBe(false) // ended, and started anew
  const reply = await fetch(`${now.api[0]}/wallet/balance`, { headers: { authorization: `Bearer ${person.token}` } })
  expect(await reply.json()).toMatchObject({ availableBalance: '10000000' })
  await again.interrupt()
  expect([now.pids.postgres, now.pids.temporal, ...now.pids.api, ...now.pids.durable].filter(isAlive)).toEqual([])
}, 120_000)
