// Spends from two processes at once, in short form; `npm run prove -- money` is the long one.
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { plantBug } from '../support/planted-bug.ts'
import { spendAtOnce } from '../support/spending.ts'

const seed = 20_261_126
const kinds = ['agent', 'reflection', 'scope', 'session', 'wallet']

test.each([
  ['from two processes', {}],
  ['with one of them killed', { killAfter: 1_200 }],
])(
  '5,000 spends over 100 wallets %s pass no budget and no balance, and sum up',
  async (_, options) => {
    await using database = await createTestDatabase()
    const seen = await spendAtOnce({ url: database.url, seed, spends: 5_000, wallets: 100, ...options })
    process.stdout.write(`seed ${seed}: ${JSON.stringify(seen)}\n`)
    expect(seen.broken).toEqual([])
    expect(Object.keys(seen.tight).toSorted()).toEqual(kinds)
    expect(seen.answers['insufficient']).toBeGreaterThan(0)
    expect(seen.answers['over_budget']).toBeGreaterThan(0)
  },
  60_000,
)

test('a ledger that looks at no budget is seen', async () => {
  await using database = await createTestDatabase()
  await using ledger = await connectLedgerFacts(database.url)
  await plantBug(ledger, { name: 'ledger_hold', from: 'IS NOT NULL THEN', to: 'IS NOT NULL AND false THEN' })
  const { broken } = await spendAtOnce({ url: database.url, seed, spends: 700, wallets: 14 })
  expect(broken.join('\n')).toMatch(/used of/)
})
