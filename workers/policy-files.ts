// Follows the policy files: imported at start and whenever one of them changes. The table is what decides; what is written
// here only brings files into it.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { toError } from '../domain/errors.ts'
import { policyFilesLookMs } from '../domain/limits.ts'
import { importPolicies, type Imported, type ImportDeps, type PolicyFile } from '../gateway/policy-import.ts'
import type { Logger } from '../telemetry/log.ts'

export type PolicyFolder = {
  readonly path: string
  /** What its files are called in faults: `label/default.yaml`. */
  readonly label: string
}

export type PolicyFilesDeps = ImportDeps & {
  readonly folders: readonly PolicyFolder[]
  readonly log: Pick<Logger, 'info' | 'error'>
}

export type PolicyFiles = AsyncDisposable & {
  /** Faults of files that were not taken; none when all are active. */
  readonly faults: () => readonly string[]
}

// Data of other kinds that lies beside the policies.
const others = new Set(['members', 'prices', 'tools'])
const isPolicy = (name: string) =>
  /^[^.][^/]*\.ya?ml$/.test(name) && !/\.test\.ya?ml$/.test(name) && !others.has(stem(name))
const stem = (name: string) => name.replace(/\.ya?ml$/, '')

/** Imports the files and follows them. Throws when a file cannot be used and nothing older stands in for it. */
export async function followPolicyFiles(deps: PolicyFilesDeps): Promise<PolicyFiles> {
  const { log, folders } = deps
  let seen = await marksOf(folders)
  let imported = await importPolicies(deps, () => readAll(folders))
  say(log, imported)
  if (imported.missing.length > 0) throw new Error(`Policy files cannot be used:\n${imported.faults.join('\n')}`)
  let looking: Promise<void> | undefined
  const look = async () => {
    const marks = await marksOf(folders)
    if (marks === seen) return
    imported = await importPolicies(deps, () => readAll(folders))
    seen = marks
    say(log, imported)
  }
  const timer = setInterval(() => {
    looking ??= look()
      .catch((error: unknown) => log.error({ err: toError(error) }, 'the policy files were not imported'))
      .finally(() => (looking = undefined))
  }, policyFilesLookMs)
  timer.unref()
  return {
    faults: () => imported.faults,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await looking
    },
  }
}

function say(log: PolicyFilesDeps['log'], { epoch, changes, faults }: Imported): void {
  if (epoch !== null) log.info({ epoch, changes }, 'policy files were imported')
  if (faults.length > 0) log.error({ faults }, 'a policy file is unusable; what was active stays')
}

/** Every policy file of the folders; one that is no folder has none. */
export async function readAll(folders: readonly PolicyFolder[]): Promise<PolicyFile[]> {
  const found = await Promise.all(folders.map(filesOf))
  return Promise.all(found.flat().map(async ({ path, name }) => ({ name, text: await readFile(path, 'utf8') })))
}

async function filesOf({ path, label }: PolicyFolder): Promise<{ path: string; name: string }[]> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.filter(isPolicy).map((name) => ({ path: join(path, name), name: `${label}/${name}` }))
}

async function marksOf(folders: readonly PolicyFolder[]): Promise<string> {
  const files = (await Promise.all(folders.map(filesOf))).flat()
  const marks = await Promise.all(
    files.map(async ({ path, name }) => {
      const facts = await stat(path).catch(() => undefined)
      return facts ? `${name} ${facts.mtimeMs}/${facts.ctimeMs}/${facts.size}/${facts.ino}` : `${name} gone`
    }),
  )
  return marks.toSorted().join('\n')
}
