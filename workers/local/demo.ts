// The development identities: real wallet keys made at first start, members of one tenant, so that operator, approver
// and owner can be tried by one person. They sign in like everybody else.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { DemoIdentity } from './run-file.ts'

const people = [
  { name: 'maintainer', roles: ['operator', 'admin'] },
  { name: 'reviewer', roles: ['approver'] },
  { name: 'agent-owner', roles: ['owner'] },
] as const

/** Finds the identities, making keys and `<state>/members.yaml` at the first start. */
export async function prepareDemo(stateDir: string): Promise<DemoIdentity[]> {
  const folder = join(stateDir, 'demo')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const identities: DemoIdentity[] = []
  for (const { name } of people) {
    const keyFile = join(folder, `${name}.key`)
    if (!existsSync(keyFile)) await writeFile(keyFile, `${generatePrivateKey()}\n`, { mode: 0o600 })
    const key = (await readFile(keyFile, 'utf8')).trim() as `0x${string}`
    identities.push({ name, address: privateKeyToAccount(key).address.toLowerCase(), keyFile })
  }
  const members = join(stateDir, 'members.yaml')
  if (!existsSync(members)) await writeFile(members, membersText(identities), { mode: 0o600 })
  return identities
}

function membersText(identities: readonly DemoIdentity[]): string {
  const rows = identities.map(({ address }, index) => {
    const roles = people[index]?.roles.join(', ') ?? 'owner'
    return `  - { wallet: "${address}", tenant: demo, roles: [${roles}] }`
  })
  return `# The development identities of this state folder.\nmembers:\n${rows.join('\n')}\n`
}
