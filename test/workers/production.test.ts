// What is shown in development is not there in production, whatever lies in the state folder.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../config/load.ts'
import { createLogger } from '../../telemetry/log.ts'
import { startApi, type ApiServer } from '../../workers/api-server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const stateDir = mkdtempSync(join(tmpdir(), 'gatehouse-production-'))
const account = privateKeyToAccount(generatePrivateKey())
let database: TestDatabase
let api: ApiServer
let token: string

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const call = async (method: string, path: string, body?: unknown) => {
  const reply = await fetch(`${api.url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> }
}

beforeAll(async () => {
  database = await createTestDatabase()
  mkdirSync(join(stateDir, 'demo'))
  const member = `  - { wallet: "${account.address}", tenant: demo, roles: [operator, admin] }`
  writeFileSync(join(stateDir, 'members.yaml'), `members:\n${member}\n`)
  const config = loadConfig({
    GATEHOUSE_ENV: 'production',
    GATEHOUSE_PORT: String(await freePort()),
    GATEHOUSE_STATE_DIR: stateDir,
    GATEHOUSE_PUBLIC_URL: 'https://gate.example',
    GATEHOUSE_PROXIES: '0',
    GATEHOUSE_MASTER_KEY: '5f1c0a97be42d8e36b7094f2ac8d13e5907f6b2c4e8a1d35f0b79c6e24d8a1b3',
    GATEHOUSE_MODEL_URL: 'http://127.0.0.1:9',
    ANTHROPIC_API_KEY: 'planted-provider-key',
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: '127.0.0.1:9',
  })
  api = await startApi({ config, log: createLogger({ level: 'silent', name: 'api' }) })
  const challenge = await call('GET', `/auth/challenge?walletAddress=${account.address}`)
  const signature = await account.signMessage({ message: String(challenge.body['message']) })
  const { nonce } = challenge.body
  const verified = await call('POST', '/auth/verify', { walletAddress: account.address, signature, nonce })
  token = String(verified.body['token'])
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
  rmSync(stateDir, { recursive: true, force: true })
})

test('says what it is', async () => {
  expect((await call('GET', '/health')).body).toMatchObject({ securityPosture: { mode: 'production' } })
})

test('there is no play money', async () => {
  expect((await call('POST', '/wallet/faucet')).status).toBe(404)
  expect((await call('GET', '/wallet/balance')).body).toMatchObject({ availableBalance: '0' })
})

test('there are no sign-in links', async () => {
  expect((await call('POST', '/auth/link')).status).toBe(404)
  expect((await call('GET', `/auth/link/${'x'.repeat(32)}`)).status).toBe(404)
})

test('members of the state folder, the demo identities, are nobody', async () => {
  expect((await call('GET', '/metrics')).status).toBe(403)
})

test('agents offer models of the provider alone', async () => {
  const { body } = await call('GET', '/agents')
  expect(JSON.stringify(body)).not.toContain('scripted')
})
