// The property of money is worth something only if it sees a broken ledger: each planted bug is caught.
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { playEdges } from '../support/money-edges.ts'
import { playMoney } from '../support/money-play.ts'
import { plantBug } from '../support/planted-bug.ts'

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
  ['loses the excess', 'ledger_post', 'IF v_excess = 0 THEN', 'IF true THEN', ''],
  ['never asks the receivable', 'ledger_post', "IF v_wrote = 'insufficient' THEN", 'IF false THEN', ''],
  ['does not compare the cost', 'ledger_post', 'coalesce(v_charged, 0) = v_excess', 'true', ''],
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
] as const)(
  'the property sees a ledger that %s',
  async (...[, name, from, to, besides]) => {
    await using database = await createTestDatabase()
    await using ledger = await connectLedgerFacts(database.url)
    await plantBug(ledger, { name, from, to })
    if (besides !== '') await ledger.query(besides)
    await expect(playMoney(database, { runs: 400, seed })).rejects.toThrow(/Property failed/)
  },
  120_000,
)

test('windows of days, midnight, the exact limit and zero are as plain arithmetic says', async () => {
  await using database = await createTestDatabase()
  await expect(playEdges(database, { runs: 120, seed })).resolves.toBeUndefined()
})

const lock = 'PERFORM 1 FROM account WHERE id IN (v_debit, v_credit) AND projected ORDER BY id FOR NO KEY UPDATE;'
const found = "IF FOUND THEN RETURN CASE WHEN v_stored = v_hash THEN 'exists' ELSE 'exists_different' END; END IF;"
test.each([
  ['has a week of six days', [['budget_used', '- 7', '- 6']]],
  ['has a week of eight days', [['budget_used', '- 7', '- 8']]],
  ['has a month of 31 days', [['budget_used', '- 30', '- 31']]],
  ['forgets what is reserved', [['budget_over', 'u.spent + u.reserved +', 'u.spent +']]],
  ['refuses the exact limit', [['budget_over', 'p_amount > b.limit_micros', 'p_amount >= b.limit_micros']]],
  ['counts on the day of the posting', [['budget_move', 'utc_day(p_hold.at)', 'utc_day(clock_timestamp())']]],
  [
    'writes no row for zero',
    [['ledger_write', 'LOOP\n', "IF p_op = 'post' AND p_amount = 0 THEN RETURN 'ok'; END IF; LOOP\n"]],
  ],
  [
    'looks for the transfer before it locks',
    [
      ['ledger_write', lock, ''],
      ['ledger_write', found, `${found} ${lock}`],
      ['ledger_hold', 'FOR NO KEY UPDATE', ''],
    ],
  ],
] as const)(
  'the edges see a ledger that %s',
  async (_, changes) => {
    await using database = await createTestDatabase()
    await using ledger = await connectLedgerFacts(database.url)
    for (const [name, from, to] of changes) await plantBug(ledger, { name, from, to })
    await expect(playEdges(database, { runs: 400, seed })).rejects.toThrow(/Property failed/)
  },
  120_000,
)
