// What a posting is called in a wallet's history, by the code of its transfer. Holds and voids have codes of their own and
// are not shown.
export const transactionTypes = [
  'spend',
  'deposit_detected',
  'deposit',
  'settlement',
  'withdrawal',
  'legacy_sweep',
  'admin_reset',
] as const
export type TransactionType = (typeof transactionTypes)[number]

/** Codes of the transfers of each type. 10: model, 11: tool. From 20 on they are kept for movements on chain and by hand. */
export const transferCodes = {
  spend: [10, 11],
  deposit: [1],
  deposit_detected: [20],
  settlement: [21],
  withdrawal: [22],
  legacy_sweep: [23],
  admin_reset: [24],
} as const satisfies Record<TransactionType, readonly number[]>

export const toolCallCode = 11

/** The type of a code; one that nobody knows is told by its direction. */
export function transactionTypeOf(code: number, isDebit: boolean): TransactionType {
  const known = transactionTypes.find((type) => (transferCodes[type] as readonly number[]).includes(code))
  return known ?? (isDebit ? 'spend' : 'deposit')
}
