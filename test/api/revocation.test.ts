// Every revocation is on record, in one transaction with what it ends.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { tokenIdOf } from '../../sdk/auth.ts'
import { asIntruder } from '../gateway/fixture.ts'
import { postJson, startTestApi, type TestApi } from '../support/api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
beforeEach(() => api.database.pool.query('DELETE FROM rate_bucket'))
afterAll(() => api[Symbol.asyncDispose]())

type Record = { action: string; resource: string; effect_seq: number; status: string; sub: string; usid: string }

async function signedIn() {
  const account = api.newWallet()
  const token = await api.tokenOf(account)
  const headers = { authorization: `Bearer ${token}` }
  const revoke = (body: unknown) => postJson(`${api.url}/api/auth/revoke`, body, headers)
  const records = async () => {
    const reply = await fetch(`${api.url}/api/v1/audit`, { headers })
    return { status: reply.status, records: ((await reply.json()) as { records: Record[] }).records }
  }
  return { account, token, revoke, records }
}

test('ending one token is one record: who, what, and where in the order of effects', async () => {
  const me = await signedIn()
  const tokenId = await tokenIdOf(await api.tokenOf(me.account))
  const { rows: before } = await api.database.pool.query<{ seq: bigint }>("SELECT nextval('effect_seq') AS seq")
  expect((await me.revoke({ tokenId })).status).toBe(200)
  await expect.poll(async () => (await me.records()).records.length, { timeout: 5_000 }).toBe(1)
  const [record] = (await me.records()).records
  expect(record).toMatchObject({
    action: 'credential.revoke',
    node_type: 'credential',
    resource: `token:${tokenId}`,
    status: 'ok',
    sub: me.account.address.toLowerCase(),
    policy: { decision: 'allow', policy_id: 'gatehouse', rules: ['owner-revokes'] },
  })
  expect(record?.effect_seq).toBeGreaterThan(Number(before[0]?.seq))
})

test('ending everything is on record, and read with the next credential', async () => {
  const me = await signedIn()
  expect((await me.revoke({ all: true })).status).toBe(200)
  expect((await me.records()).status).toBe(401)
  const headers = { authorization: `Bearer ${await api.tokenOf(me.account)}` }
  const read = async () =>
    ((await (await fetch(`${api.url}/api/v1/audit`, { headers })).json()) as { records: Record[] }).records
  await expect
    .poll(async () => (await read())[0]?.resource, { timeout: 5_000 })
    .toBe(`wallet:${me.account.address.toLowerCase()}`)
})

test('what cannot be recorded is not revoked', async () => {
  const me = await signedIn()
  await asIntruder(api.database, 'ALTER TABLE audit_pending ADD CONSTRAINT nothing CHECK (false) NOT VALID', [])
  const refused = await me.revoke({ all: true })
  await asIntruder(api.database, 'ALTER TABLE audit_pending DROP CONSTRAINT nothing', [])
  expect(refused.status).toBe(500)
  expect((await me.records()).status).toBe(200)
})

test("somebody else's token is not found, and nothing is recorded", async () => {
  const [me, other] = [await signedIn(), await signedIn()]
  expect((await me.revoke({ tokenId: await tokenIdOf(other.token) })).status).toBe(404)
  const { rows } = await api.database.pool.query('SELECT 1 FROM audit_pending')
  expect([rows.length, (await me.records()).records]).toEqual([0, []])
})
