// Who belongs to which tenant with which roles. An unlisted wallet is its own tenant and its owner.
import { parse } from 'yaml'
import { z } from 'zod'
import { membersMax } from '../domain/limits.ts'
import type { Role } from '../domain/principal.ts'

const Member = z.strictObject({
  wallet: z
    .string()
    .regex(/^0x[0-9a-fA-F]{40}$/)
    .transform((text) => text.toLowerCase()),
  tenant: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes'),
  roles: z.array(z.enum(['owner', 'approver', 'admin', 'operator'])).min(1),
})

const MembersFile = z.strictObject({ members: z.array(Member).max(membersMax).default([]) })

export type Membership = { readonly tenant: string; readonly roles: readonly Role[] }

/** Parses `members.yaml` files into one table; a wallet named twice is a fault. Throws an Error naming the file. */
export function parseMembers(
  files: readonly { readonly name: string; readonly text: string }[],
): ReadonlyMap<string, Membership> {
  const table = new Map<string, Membership>()
  for (const { name, text } of files) {
    const parsed = MembersFile.safeParse(parse(text) ?? {})
    if (!parsed.success) throw new Error(`${name}: ${z.prettifyError(parsed.error)}`)
    for (const { wallet, tenant, roles } of parsed.data.members) {
      if (table.has(wallet)) throw new Error(`${name}: ${wallet} is listed twice.`)
      table.set(wallet, { tenant, roles })
    }
  }
  return table
}

/** Membership of a wallet: its row, or itself. */
export function membershipOf(table: ReadonlyMap<string, Membership>, wallet: string): Membership {
  return table.get(wallet) ?? { tenant: wallet, roles: ['owner'] }
}
