// The ledger's functions under concurrency: whatever is asked, with ids that collide, nothing is negative, nothing is
// resolved twice and every projection equals its rows.
import fc from 'fast-check'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openWallet } from '../../db/identity.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { connectLedgerFacts, type LedgerFacts } from '../support/ledger-facts.ts'

let database: TestDatabase
let ledger: LedgerFacts

beforeAll(async () => {
  database = await createTestDatabase()
  ledger = await connectLedgerFacts(database.url)
})
afterAll(async () => {
  await ledger[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const newAddress = () => `0x${randomBytes(20).toString('hex')}`
const answerOn = async (on: TestDatabase, sql: string, values: unknown[]) =>
  String((await on.pool.query<{ answer: string }>(sql, values)).rows[0]?.answer)
const answerOf = (sql: string, values: unknown[]) => answerOn(database, sql, values)

type Posting = { id: string; holdId: string; amount: bigint; excess: string }
const callsOn = (on: TestDatabase) => ({
  hold: (wallet: bigint, holdId: string, micros: bigint) =>
    answerOn(on, "SELECT ledger_hold($1, $2, 2, $3, 10::smallint, 'a', 'w', '{}') AS answer", [holdId, wallet, micros]),
  post: ({ id: own, holdId, amount: micros, excess }: Posting) =>
    answerOn(on, "SELECT ledger_post($1, $2, $3, 10::smallint, '{}', $4) AS answer", [own, holdId, micros, excess]),
  voids: (own: string, holdId: string) =>
    answerOn(on, "SELECT ledger_void($1, $2, 12::smallint, '{}') AS answer", [own, holdId]),
})
const hold = (wallet: bigint, holdId: string, micros: bigint) => callsOn(database).hold(wallet, holdId, micros)
const post = (order: Posting) => callsOn(database).post(order)
const voids = (own: string, holdId: string) => callsOn(database).voids(own, holdId)
const nothing = { debits_posted: 0n }

test.each([
  'UPDATE transfer SET amount = 0',
  'DELETE FROM transfer',
  'TRUNCATE transfer',
  'UPDATE account SET credits_posted = 1',
  'UPDATE wallet SET faucet_at = NULL',
])('the application may not %s', async (sql) => {
  await expect(database.pool.query(sql)).rejects.toThrow('permission denied')
})

test('not even the owner of the schema rewrites history', async () => {
  await expect(ledger.query('UPDATE transfer SET amount = 0')).rejects.toThrow('append-only')
  await expect(ledger.query('DELETE FROM transfer')).rejects.toThrow('append-only')
})

test('the application may not write money past the functions', async () => {
  const order = ['posted', 1, 2, 100, null]
  await expect(
    database.pool.query(
      "SELECT ledger_write(gen_random_uuid(), $1, $2, $3, $4, $5, 1::smallint, NULL, NULL, '{}')",
      order,
    ),
  ).rejects.toThrow('permission denied')
})

test('amounts that are none, and ids that mean something else, move nothing', async () => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 1_000n)
  const none = null as unknown as bigint
  const held = randomUUID()
  expect(await hold(wallet, held, 100n)).toBe('ok')
  for (const amount of [none, -1n]) {
    await expect(hold(wallet, randomUUID(), amount)).rejects.toThrow(/amount/)
    await expect(post({ id: randomUUID(), holdId: held, amount, excess: randomUUID() })).rejects.toThrow(/amount/)
  }
  const most = 9_223_372_036_854_775_807n
  expect(await hold(wallet, randomUUID(), most)).toBe('insufficient')
  const twice = randomUUID()
  for (const [id, excess] of [
    [held, randomUUID()],
    [twice, twice],
    [randomUUID(), held],
    [randomUUID(), null as unknown as string],
  ] as const)
    await expect(post({ id, holdId: held, amount: 150n, excess }).then(mustBeOk)).rejects.toThrow(
      /exists|excess|null value/,
    )
  expect([await ledger.available(address), await ledger.held(address)]).toEqual([900n, 100n])
  expect(await ledger.faults()).toEqual([])
})

const mustBeOk = (answer: string) => {
  if (answer !== 'ok') throw new Error(answer)
}

test('what was not held, was resolved before or asks for another amount is told apart', async () => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 100n)
  const id = randomUUID()
  expect(await hold(wallet, id, 101n)).toBe('insufficient')
  expect(await hold(wallet, id, 60n)).toBe('ok')
  expect(await hold(wallet, id, 60n)).toBe('exists')
  expect(await hold(wallet, id, 61n)).toBe('exists_different')
  expect(await hold(wallet, randomUUID(), 60n)).toBe('insufficient')
  expect(await voids(randomUUID(), randomUUID())).toBe('pending_not_found')
  const posted = { id: randomUUID(), holdId: id, amount: 25n, excess: randomUUID() }
  expect(await post(posted)).toBe('ok')
  expect(await post(posted)).toBe('exists')
  expect(await voids(randomUUID(), id)).toBe('already_resolved')
  expect(await ledger.available(address)).toBe(75n)
})

test('what exceeds a hold is never lost: first the wallet pays, then it owes', async () => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 100n)
  const [first, second] = [randomUUID(), randomUUID()]
  await hold(wallet, first, 50n)
  expect(await post({ id: randomUUID(), holdId: first, amount: 80n, excess: randomUUID() })).toBe('ok')
  expect(await ledger.available(address)).toBe(20n)
  await hold(wallet, second, 20n)
  expect(await post({ id: randomUUID(), holdId: second, amount: 50n, excess: randomUUID() })).toBe('ok')
  expect(await ledger.available(address)).toBe(0n)
  const owed = await ledger.query("SELECT debits_posted FROM account WHERE wallet_id = $1 AND code = 'receivable'", [
    wallet,
  ])
  expect(BigInt(String((owed[0] ?? nothing)['debits_posted']))).toBe(30n)
})

test.each([
  ['less', 80n, 20n],
  ['more', 20n, 80n],
  ['more above the hold', 70n, 80n],
] as const)('a posting that is sent again with %s is told so and charges nothing', async (_, first, second) => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 1_000n)
  const [holdId, id, excess] = [randomUUID(), randomUUID(), randomUUID()]
  await hold(wallet, holdId, 50n)
  expect(await post({ id, holdId, amount: first, excess })).toBe('ok')
  expect(await post({ id, holdId, amount: second, excess })).toBe('exists_different')
  expect(await post({ id, holdId, amount: first, excess })).toBe('exists')
  expect(await ledger.available(address)).toBe(1_000n - first)
})

test('an excess under an id that means something else leaves nothing of its posting', async () => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 1_000n)
  const [holdId, taken] = [randomUUID(), randomUUID()]
  await hold(wallet, holdId, 50n)
  await hold(wallet, taken, 5n)
  await expect(post({ id: randomUUID(), holdId, amount: 80n, excess: taken })).rejects.toThrow(/the excess of/)
  expect(await ledger.held(address)).toBe(55n)
})

test('play money comes once, also when asked for eight times at once', async () => {
  const wallet = await openWallet(database.pool, newAddress())
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => answerOf('SELECT faucet_fund($1, $2, 1000) AS answer', [randomUUID(), wallet])),
  )
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(1)
  expect(answers.filter((answer) => answer === 'used')).toHaveLength(7)
})

test.each(['', "AND op = 'void'", "AND op IN ('post', 'void')"])(
  'what came of a hold is found by an index, not by reading the ledger: %s',
  async (more) => {
    await ledger.query('SET enable_seqscan = off')
    const plan = await ledger.query(
      `EXPLAIN SELECT 1 FROM transfer WHERE pending_id = '00000000-0000-4000-8000-000000000000' ${more}`,
    )
    await ledger.query('RESET enable_seqscan')
    expect(JSON.stringify(plan)).toContain('one_resolution')
  },
)

test('200 holds at once with money for 50: exactly 50', async () => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 50n * 700n)
  const answers = await Promise.all(Array.from({ length: 200 }, () => hold(wallet, randomUUID(), 700n)))
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(50)
  expect(answers.filter((answer) => answer === 'insufficient')).toHaveLength(150)
})

test('the same hold eight times at once, affordable once, is one hold and never a refusal', async () => {
  const address = newAddress()
  const wallet = await openWallet(database.pool, address)
  await ledger.fund(address, 700n)
  const id = randomUUID()
  const answers = await Promise.all(Array.from({ length: 8 }, () => hold(wallet, id, 700n)))
  expect(answers.toSorted()).toEqual([...Array.from({ length: 7 }, () => 'exists'), 'ok'])
})

// Few ids and few amounts, so that calls meet: uniform ids let a broken ledger live.
const ids = Array.from({ length: 6 }, () => randomUUID())
const id = fc.nat(ids.length - 1)
const amount = fc.constantFrom(0n, 10n, 25n, 40n)
const call = fc.oneof(
  fc.record({ kind: fc.constant('hold' as const), id, amount, wallet: fc.nat(1) }),
  fc.record({ kind: fc.constant('post' as const), id, target: id, amount }),
  fc.record({ kind: fc.constant('void' as const), id, target: id }),
)

test('random batches at once leave a ledger without fault', async () => {
  const holds = await ledger.query("SELECT id FROM transfer WHERE op = 'pending'")
  await expect(playBatches(database, ledger, 40)).resolves.toBeUndefined()
  expect((await ledger.query("SELECT id FROM transfer WHERE op = 'pending'")).length).toBeGreaterThan(holds.length)
})

// The property is worth something only if it sees a broken ledger.
const replaceWrite = async (facts: LedgerFacts, change: (body: string) => string) => {
  const [row] = await facts.query("SELECT pg_get_functiondef('ledger_write'::regproc) AS body")
  const body = String(row?.['body'])
  const changed = change(body)
  if (changed === body) throw new Error('The change changed nothing.')
  await facts.query(changed)
}

test.each([
  {
    title: 'releases what was posted instead of what was held',
    breakIt: (facts: LedgerFacts) => replaceWrite(facts, (body) => body.replaceAll('ELSE -v_held', 'ELSE -p_amount')),
  },
  {
    title: 'lets a hold be resolved twice',
    breakIt: async (facts: LedgerFacts) => {
      await facts.query('DROP INDEX one_resolution')
      await replaceWrite(facts, (body) => body.replace("RETURN 'already_resolved';", 'NULL;'))
    },
  },
  {
    title: 'spends what is held',
    breakIt: async (facts: LedgerFacts) => {
      await facts.query('ALTER TABLE account DROP CONSTRAINT account_check')
      await replaceWrite(facts, (body) =>
        body.replace('d.credits_posted - d.debits_posted - d.debits_pending < p_amount', 'false'),
      )
    },
  },
])('the property sees a ledger that $title', async ({ breakIt }) => {
  const broken = await createTestDatabase()
  const facts = await connectLedgerFacts(broken.url)
  await breakIt(facts)
  await expect(playBatches(broken, facts, 60)).rejects.toThrow('Property failed')
  await facts[Symbol.asyncDispose]()
  await broken[Symbol.asyncDispose]()
})

async function playBatches(on: TestDatabase, facts: LedgerFacts, numRuns: number): Promise<void> {
  const addresses = [newAddress(), newAddress()]
  const wallets = await Promise.all(addresses.map((address) => openWallet(on.pool, address)))
  await facts.fund(addresses[0] ?? '', 10_000n)
  await facts.fund(addresses[1] ?? '', 60n)
  const { hold: take, post: charge, voids: release } = callsOn(on)
  let round = 0
  const batches = fc.array(fc.array(call, { minLength: 2, maxLength: 8 }), { maxLength: 4 })
  const property = fc.asyncProperty(batches, async (given) => {
    round += 1
    const named = (kind: string, index: number) => uuidOf(`${round}:${kind}:${index}`)
    for (const batch of given) {
      await Promise.all(
        batch.map((each) => {
          if (each.kind === 'hold') return take(wallets[each.wallet] ?? 0n, named('hold', each.id), each.amount)
          const holdId = named('hold', each.target)
          if (each.kind === 'void') return release(named('void', each.id), holdId)
          return charge({ id: named('post', each.id), holdId, amount: each.amount, excess: named('excess', each.id) })
        }),
      )
    }
    return (await facts.faults()).length === 0
  })
  await fc.assert(property, { numRuns, endOnFailure: true })
}

const uuids = new Map<string, string>()
function uuidOf(name: string): string {
  const known = uuids.get(name) ?? randomUUID()
  uuids.set(name, known)
  return known
}
