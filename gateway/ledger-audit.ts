// The identity check of the ledger: everything is looked at, page by page, and what does not hold stops the money of its
// wallet, or of everybody. Only an operator starts it again.
import { auditTotals, auditWallets, haltMoney, type LedgerFault } from '../db/ledger-audit.ts'
import type { Pool } from '../db/pool.ts'
import { ledgerAuditHoldMs, ledgerAuditPageWallets } from '../domain/limits.ts'

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

/** Stops what the faults concern. Answers the stops that are new; the same faults again stop nothing more. */
export async function haltFor(pool: Pool, faults: readonly LedgerFault[]): Promise<LedgerFault[]> {
  const halted: LedgerFault[] = []
  for (const fault of faults)
    if (await haltMoney(pool, fault.walletId, `${fault.kind}: ${fault.detail}`)) halted.push(fault)
  return halted
}
