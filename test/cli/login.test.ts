// Signing in and out: keys stay in private files, tokens go to the server they were made for.
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { json, refuse, startApiDouble, type ApiDouble } from '../support/api-double.ts'
import { createDesk, home, signedInDesk, stateDir, type Desk } from '../support/cli.ts'

let api: ApiDouble
let desk: Desk

const key = `0x${'11'.repeat(32)}` as const
const address = privateKeyToAccount(key).address.toLowerCase()
const credentials = () => JSON.parse(desk.files.get(`${home}/credentials.json`) ?? '{}') as Record<string, object>

beforeEach(async () => {
  api = await startApiDouble()
  desk = createDesk()
  api.on('POST /wallet/faucet', json({ amount: '5000000' }))
  api.on('GET /wallet/balance', json({ availableBalance: '5000000' }))
})

afterEach(() => api[Symbol.asyncDispose]())

const login = (...args: string[]) => desk.run(['login', ...args, '--url', api.url])

test.each([
  ['nothing says who signs', [], 'Say who signs'],
  ['two keys are meant', ['--new', '--identity', 'maintainer'], 'Only one of'],
  ['the file is not there', ['--private-key', '/nowhere'], 'There is no key file /nowhere.'],
  ['the file holds no key', ['--private-key', '/notes'], 'does not hold a key'],
  ['nothing runs that has identities', ['--identity', 'maintainer'], 'npm start'],
])('is a usage error when %s', async (_what, args, sentence) => {
  desk.files.set('/notes', 'groceries')
  const ran = await login(...args)
  expect(ran).toMatchObject({ code: 2, out: '' })
  expect(ran.err).toContain(sentence)
  expect(api.asked).toEqual([])
})

test('refuses a key on the command line without repeating it', async () => {
  const ran = await login('--private-key', key)
  expect(ran.code).toBe(2)
  expect(ran.err).toContain('takes a file')
  expect(ran.err).not.toContain(key)
})

test('a server that is not there leaves no key file, and the way to start one is told', async () => {
  const ran = await desk.run(['login', '--new', '--url', 'http://127.0.0.1:1'])
  expect(ran).toEqual({
    code: 8,
    out: '',
    err: 'gatehouse: http://127.0.0.1:1 cannot be reached.\nDoes it run? Start it with `npm start`, or name another one with --url URL.\n',
  })
  expect([...desk.files.keys()]).toEqual([])
})

test('a faucet that refuses does not undo the sign-in', async () => {
  api.on('POST /wallet/faucet', refuse(409, 'FAUCET_USED'))
  const ran = await login('--new')
  expect(ran.code).toBe(0)
  expect(ran.err).toBe('There is no play money now: Refused with FAUCET_USED.\n')
  expect(ran.out).not.toContain('play money')
})

test('a server without play money is not talked about', async () => {
  api.on('POST /wallet/faucet', refuse(404, 'NOT_FOUND'))
  expect(await login('--new')).toMatchObject({ code: 0, err: '' })
})

test('a new key signs, stays in its file and is never printed', async () => {
  const ran = await desk.run(['login', '--new', '--url', `${api.url}/`], { newKey: () => key })
  expect(ran).toEqual({
    code: 0,
    err: '',
    out: [
      `Signed in at ${api.url} as ${address} until 2999-01-31 12:00 UTC.`,
      `Key file: ${home}/keys/${address}.key`,
      'Balance: $5.00 of play money.',
      '',
    ].join('\n'),
  })
  expect(desk.files.get(`${home}/keys/${address}.key`)).toBe(`${key}\n`)
  expect(credentials()[api.url]).toMatchObject({ token: 'mcpwt_e30', walletAddress: address })
  expect(api.to('POST /api/auth/create-token')[0]?.body['expiresAt']).toBe('2026-03-02T11:59:00.000Z')
  expect(api.to('POST /wallet/faucet')[0]?.headers.authorization).toBe('Bearer mcpwt_e30')
  expect(JSON.stringify(api.asked)).not.toContain(key)
})

test('auth login is the same command, and --json tells facts only', async () => {
  desk.files.set('/k', key)
  const ran = await desk.run(['auth', 'login', '--private-key', '/k', '--json', '--url', api.url])
  expect(JSON.parse(ran.out)).toEqual({
    url: api.url,
    walletAddress: address,
    kind: 'wallet-token',
    expiresAt: '2999-01-31T12:00:00.000Z',
    keyFile: '/k',
    playMoney: null,
  })
  expect(api.to('POST /wallet/faucet')).toEqual([])
})

test('warns about a key file that others can read', async () => {
  desk.files.set('/k', key)
  desk.exposed.add('/k')
  expect((await login('--private-key', '/k')).err).toBe('Others can read /k. Close it with: chmod 600 /k\n')
})

test('an identity of the running installation signs with its own key file', async () => {
  const demo = [{ name: 'maintainer', address, keyFile: '/state/demo/maintainer.key' }]
  desk.files.set(`${stateDir}/run.json`, JSON.stringify({ api: [api.url], demo }))
  desk.files.set('/state/demo/maintainer.key', key)
  expect((await desk.run(['login', '--identity', 'someone'])).err).toContain('there are maintainer.')
  expect((await desk.run(['login', '--identity', 'maintainer'])).out).toContain(address)
})

test('the key of the last sign-in signs again when nothing else is said', async () => {
  desk.files.set('/k', key)
  await login('--private-key', '/k')
  expect(await login()).toMatchObject({ code: 0 })
})

test('a key file named from this folder is found again from another one', async () => {
  desk.files.set('/here/k', key)
  expect(await login('--private-key', 'k')).toMatchObject({ code: 0 })
  expect(credentials()[api.url]).toMatchObject({ keyFile: '/here/k' })
  const elsewhere = { absolute: (path: string) => (path.startsWith('/') ? path : `/there/${path}`) }
  expect(await desk.run(['login', '--url', api.url], elsewhere)).toMatchObject({ code: 0 })
})

test('a token is never sent to another address than its own', async () => {
  desk = signedInDesk('http://127.0.0.1:1')
  const ran = await desk.run(['wallet', 'balance', '--url', api.url])
  expect(ran).toEqual({
    code: 3,
    out: '',
    err: `gatehouse: Nobody is signed in at ${api.url}.\nSign in: npx --no gatehouse login --new, or login --private-key FILE.\n`,
  })
  expect(api.asked).toEqual([])
})

test('an expired sign-in is told without asking the server', async () => {
  desk = signedInDesk(api.url)
  const ran = await desk.run(['wallet', 'balance'], { now: () => new Date('3000-01-01') })
  expect(ran.code).toBe(3)
  expect(api.asked).toEqual([])
})

test('auth status finds out a revoked token', async () => {
  desk = signedInDesk(api.url)
  api.on('GET /wallet/sessions', refuse(401, 'SESSION_REVOKED'), json({ sessions: [] }))
  expect((await desk.run(['auth', 'status'])).code).toBe(3)
  const ran = await desk.run(['auth', 'status'])
  expect(ran.code).toBe(0)
  expect(ran.out).toBe(
    [
      `address      ${api.url}`,
      'wallet       0x00000000000000000000000000000000000000aa',
      'token        session token',
      'valid until  2999-01-31 12:00 UTC',
      'key file     /keys/mine.key',
      '',
    ].join('\n'),
  )
})

const jwt = `${btoa('{"alg":"none"}')}.${btoa('{"jti":"0123456789abcdef0123456789abcdef"}')}.x`.replaceAll('=', '')

test('signing out revokes the token and forgets it; the key stays', async () => {
  desk = signedInDesk(api.url, jwt)
  api.on('POST /api/auth/revoke', json({ revoked: 'x', epoch: 1 }))
  expect(await desk.run(['auth', 'logout'])).toMatchObject({ code: 0 })
  expect(api.to('POST /api/auth/revoke')[0]?.body).toEqual({ tokenId: '0123456789abcdef0123456789abcdef' })
  expect(credentials()).toEqual({})
  expect((await desk.run(['auth', 'logout', '--json'])).out).toContain('"revoked": false')
})

test('signing out keeps a token the server could not be asked about', async () => {
  desk = signedInDesk(api.url, jwt)
  api.on('POST /api/auth/revoke', refuse(503, 'UNAVAILABLE'))
  expect((await desk.run(['auth', 'logout'])).code).toBe(8)
  expect(Object.keys(credentials())).toEqual([api.url])
  api.on('POST /api/auth/revoke', refuse(401, 'TOKEN_EXPIRED'))
  expect((await desk.run(['auth', 'logout', '--all'])).code).toBe(3)
  expect((await desk.run(['auth', 'logout'])).out).toContain('no longer valid')
})
