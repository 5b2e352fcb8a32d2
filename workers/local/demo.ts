// The development identities: real wallet keys made at first start, members of one tenant, so that operator, approver
// and owner can be tried by one person. They sign in like everybody else.
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { DemoIdentity } from './run-file.ts'
import { writeWhole } from './whole-file.ts'

const people = [
  { name: 'maintainer', roles: ['operator', 'admin'] },
  { name: 'reviewer', roles: ['approver'] },
  { name: 'agent-owner', roles: ['owner'] },
] as const

/** Finds the identities, making keys and `<state>/members.yaml` at the first start. */
export async function prepareDemo(stateDir: string): Promise<DemoIdentity[]> {
  const folder = join(stateDir, 'demo')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const members = join(stateDir, 'members.yaml')
  const identities: DemoIdentity[] = []
  for (const { name } of people) {
    const keyFile = join(folder, `${name}.key`)
    const key = (await readKey(keyFile)) ?? (await makeKey(keyFile, existsSync(members)))
    identities.push({ name, address: privateKeyToAccount(key).address.toLowerCase(), keyFile })
  }
  if (!existsSync(members)) await writeWhole(members, membersText(identities))
  return identities
}

type Key = `0x${string}`

async function readKey(keyFile: string): Promise<Key | undefined> {
  const text = await readFile(keyFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  return /^0x[0-9a-f]{64}$/i.test(text.trim()) ? (text.trim() as Key) : undefined
}

// A damaged key of somebody who is a member already is for a person to mend: a new one would be nobody's.
async function makeKey(keyFile: string, isMember: boolean): Promise<Key> {
  if (isMember && existsSync(keyFile))
    throw new Error(
      `${keyFile} does not hold a key: 0x and 64 hexadecimal digits. Mend it, or delete it and members.yaml beside demo/.`,
    )
  const key = generatePrivateKey()
  await writeWhole(keyFile, `${key}\n`)
  return key
}

function membersText(identities: readonly DemoIdentity[]): string {
  const rows = identities.map(({ address }, index) => {
    const roles = people[index]?.roles.join(', ') ?? 'owner'
    return `  - { wallet: "${address}", tenant: demo, roles: [${roles}] }`
  })
  return `# The development identities of this state folder.\nmembers:\n${rows.join('\n')}\n`
}
