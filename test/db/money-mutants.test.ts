// The property of money is worth something only if it sees a broken ledger: each planted bug is caught.
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { playMoney } from '../support/money-play.ts'

const seed = 20_261_124

test('no sequence creates, loses or doubles money', async () => {
  await using database = await createTestDatabase()
  await expect(playMoney(database, { runs: 40, seed })).resolves.toBeUndefined()
})

const double = 'DROP INDEX one_resolution'
test.each([
  ['looks at no budget', 'ledger_hold', 'IS NOT NULL THEN', 'IS NOT NULL AND false THEN', ''],
  ['releases what was posted', 'ledger_write', 'ELSE -v_held', 'ELSE -p_amount', ''],
  ['resolves a hold twice', 'ledger_write', "RETURN 'already_resolved';", 'NULL;', double],
  ['forgets to give back to budgets', 'ledger_void', '-v_hold.amount', '0', ''],
  ['gives back twice to budgets', 'ledger_void', '-v_hold.amount', '-2 * v_hold.amount', ''],
  [
    'counts the hold instead of the cost',
    'ledger_post',
    '-v_hold.amount, p_amount',
    '-v_hold.amount, v_hold.amount',
    '',
  ],
  ['loses the excess', 'ledger_post', 'IF p_amount <= v_hold.amount OR', 'IF true OR', ''],
  ['never asks the receivable', 'ledger_post', "IF v_excess = 'insufficient' OR", 'IF false AND', ''],
  ['lets a body hash ignore the amount', 'transfer_body_hash', 'p_amount, p_code', "'0', p_code", ''],
  [
    'counts for no day',
    'budget_move',
    "(VALUES (utc_day(p_hold.at)), ('-infinity'::date))",
    "(VALUES ('-infinity'::date))",
    '',
  ],
  ['counts another subject', 'budget_covers', 'p_subject = p_agent', "p_subject = 'b'", ''],
  [
    'credits nobody',
    'ledger_write',
    "credits_posted = credits_posted + CASE WHEN p_op IN ('posted', 'post') THEN p_amount ELSE 0 END\n    WHERE id = v_credit",
    'credits_posted = credits_posted\n    WHERE id = v_credit',
    '',
  ],
  [
    'spends what is held',
    'ledger_write',
    'd.credits_posted - d.debits_posted - d.debits_pending < p_amount',
    'false',
    'ALTER TABLE account DROP CONSTRAINT account_check',
  ],
] as const)('the property sees a ledger that %s', async (...[, name, from, to, besides]) => {
  await using database = await createTestDatabase()
  await using ledger = await connectLedgerFacts(database.url)
  const [row] = await ledger.query('SELECT pg_get_functiondef($1::regproc) AS body', [name])
  const body = String(row?.['body'])
  expect(body).toContain(from)
  await ledger.query(body.replaceAll(from, to))
  if (besides !== '') await ledger.query(besides)
  await expect(playMoney(database, { runs: 120, seed })).rejects.toThrow(/Property failed/)
})
