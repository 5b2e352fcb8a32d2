// The identity check of the ledger: everything is looked at, page by page, and what does not hold stops the money of its
// wallet, or of everybody. Only an operator starts it again.
import { randomUUID } from 'node:crypto'
import { auditTotals, auditWallets, haltMoney, resumeMoney, type LedgerFault } from '../db/ledger-audit.ts'
import type { Client, Pool } from '../db/pool.ts'
import { inTransaction } from '../db/transaction.ts'
import { ledgerAuditHoldMs, ledgerAuditPageWallets } from '../domain/limits.ts'
import { housePrincipal, ownDecision, recordAct } from './house-record.ts'

export type LedgerAudit = { readonly wallets: number; readonly faults: readonly LedgerFault[] }

/** Every fault of the ledger. Changes nothing; safe while money moves. */
export async function checkLedger(pool: Pool): Promise<LedgerAudit> {
  const faults = await auditTotals(pool)
  let wallets = 0
  for (let after: bigint | null = 0n; after !== null;) {
    const page = await auditWallets(pool, { after, limit: ledgerAuditPageWallets, holdMs: ledgerAuditHoldMs })
    wallets += page.wallets
    faults.push(...page.faults)
    after = page.last
  }
  return { wallets, faults }
}

/** Stops what the faults concern, on record. Answers the stops that are new; the same faults again stop nothing more. */
export async function haltFor(pool: Pool, faults: readonly LedgerFault[]): Promise<LedgerFault[]> {
  const halted: LedgerFault[] = []
  for (const fault of faults) if (await halt(pool, fault)) halted.push(fault)
  return halted
}

function halt(pool: Pool, { walletId, kind, detail }: LedgerFault): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    if (!(await haltMoney(client, walletId, `${kind}: ${detail}`))) return false
    await recordMoney(client, { walletId, by: 'ledger-audit', action: 'money.stop', why: { kind, detail } })
    return true
  })
}

/** Lifts a stop, on record. False when there is none. As the owner of the database: the application role cannot. */
export function liftStop(pool: Pool, { walletId, by }: { walletId: bigint | null; by: string }): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    if (!(await resumeMoney(client, walletId, by))) return false
    await recordMoney(client, { walletId, by, action: 'money.resume', why: {} })
    return true
  })
}

type MoneyAct = {
  readonly walletId: bigint | null
  readonly by: string
  readonly action: 'money.stop' | 'money.resume'
  readonly why: Readonly<Record<string, string>>
}

async function recordMoney(client: Client, { walletId, by, action, why }: MoneyAct): Promise<void> {
  const name = walletId === null ? 'all' : `wallet ${walletId}`
  await recordAct(client, {
    principal: housePrincipal(by),
    action,
    resource: { kind: 'ledger', name },
    facts: { name, ...why },
    origin: 'house',
    effectKey: `${action}:${randomUUID()}`,
    decision: action === 'money.stop' ? stops : lifts,
  })
}

const stops = ownDecision('ledger-identity', 'What the ledger says does not hold.')
const lifts = ownDecision('operator-lifts', 'An operator looked, and the ledger is clean.')
