// The workflow bundle of a checkout, kept from one start to the next: making it takes some seconds of both cores. It is
// named by the digest of all that goes into it, so that an old one is never taken for the new.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeWhole } from './local/whole-file.ts'

/** What a bundle is made of, below the root: all that workflows may import, and what tells the bundler how. */
const folders = ['domain', 'workflows']
const files = ['workers/temporal.ts', 'package-lock.json']

export type BundleCache = {
  /** Folder of the sources, and of `node_modules`. */
  readonly root: string
  readonly make: () => Promise<{ readonly code: string }>
}

type Kept = { readonly sources: string; readonly digest: string; readonly code: string }

/** The kept bundle of these sources, else one made now and kept. A folder that takes no file costs only the time. */
export async function cachedBundle({ root, make }: BundleCache): Promise<{ readonly code: string }> {
  const file = join(root, 'node_modules', '.cache', 'gatehouse', 'workflow-bundle.json')
  const sources = digestOf(sourcesOf(root))
  const kept = await readKept(file)
  if (kept?.sources === sources && kept.digest === digestOf([kept.code])) return { code: kept.code }
  const { code } = await make()
  await keep(file, { sources, digest: digestOf([code]), code }).catch(() => undefined)
  return { code }
}

function* sourcesOf(root: string): Generator<string> {
  const inside = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )
  for (const name of [...inside.toSorted(), ...files]) {
    yield name
    yield readFileSync(join(root, name), 'utf8')
  }
}

function digestOf(parts: Iterable<string>): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  return hash.digest('hex')
}

async function readKept(file: string): Promise<Kept | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Kept
  } catch {
    return undefined // none yet, or a torn one
  }
}

async function keep(file: string, kept: Kept): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeWhole(file, JSON.stringify(kept))
}
