// `<state>/run.json`: where the parts of a running installation are. Written when all is ready, again when a part was
// restarted, removed on stop. Private: it holds the database's URL.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from './postgres.ts'

export type DemoIdentity = { readonly name: string; readonly address: string; readonly keyFile: string }

export type RunFile = {
  readonly ready: true
  readonly startedAt: string
  readonly api: readonly string[]
  readonly openapi: string
  readonly temporalAddress: string
  readonly temporalUi: string | null
  readonly databaseUrl: string
  readonly model: string | null
  readonly tools: string | null
  readonly pids: {
    readonly supervisor: number
    readonly api: readonly number[]
    readonly durable: readonly number[]
    readonly postgres: number | null
    readonly temporal: number | null
    readonly model: number | null
    readonly tools: number | null
  }
  readonly demo: readonly DemoIdentity[]
}

const fileOf = (stateDir: string) => join(stateDir, 'run.json')

/** Replaces the file in one step. */
export async function writeRunFile(stateDir: string, run: RunFile): Promise<void> {
  const draft = `${fileOf(stateDir)}.draft`
  await writeFile(draft, `${JSON.stringify(run, null, 2)}\n`, { mode: 0o600 })
  await rename(draft, fileOf(stateDir))
}

/** The file of a supervisor that runs; one that was killed leaves a file that says nothing. */
export async function readRunFile(stateDir: string): Promise<RunFile | undefined> {
  const text = await readFile(fileOf(stateDir), 'utf8').catch(() => undefined)
  const run = text === undefined ? undefined : (JSON.parse(text) as RunFile)
  return run && isAlive(run.pids.supervisor) ? run : undefined
}

export async function removeRunFile(stateDir: string): Promise<void> {
  await rm(fileOf(stateDir), { force: true })
}

/** The same facts without the secret. */
export function publicRunFile(run: RunFile): Omit<RunFile, 'databaseUrl'> {
  const { databaseUrl: _secret, ...rest } = run
  return rest
}
