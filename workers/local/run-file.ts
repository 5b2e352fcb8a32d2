// `<state>/run.json`: where the parts of a running installation are. Written when all is ready, again when a part was
// restarted, removed on stop. Private: it holds the database's URL.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { stateOwner } from './state-lock.ts'
import { writeWhole } from './whole-file.ts'

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

export type KeptRunFile = { readonly current: () => RunFile; readonly write: () => Promise<void> }

/** Writes the file whenever it is told to, one after another, so that the last word is the newest. */
export function keepRunFile(stateDir: string, facts: () => RunFile): KeptRunFile {
  const state = { current: facts(), last: Promise.resolve() }
  const write = () => {
    state.current = facts()
    return writeWhole(fileOf(stateDir), `${JSON.stringify(state.current, null, 2)}\n`)
  }
  return {
    current: () => state.current,
    write: () => (state.last = state.last.then(write, write)),
  }
}

/** The file of the supervisor that has the folder; one that was killed leaves a file that says nothing. */
export async function readRunFile(stateDir: string): Promise<RunFile | undefined> {
  const run = parse(await readFile(fileOf(stateDir), 'utf8').catch(() => ''))
  const owner = await stateOwner(stateDir)
  return owner !== undefined && run?.pids?.supervisor === owner.pid ? (run as RunFile) : undefined
}

function parse(text: string): Partial<RunFile> | undefined {
  try {
    return (JSON.parse(text) as Partial<RunFile> | null) ?? undefined
  } catch {
    return undefined
  }
}

export async function removeRunFile(stateDir: string): Promise<void> {
  await rm(fileOf(stateDir), { force: true })
}

/** The same facts without the secret. */
export function publicRunFile(run: RunFile): Omit<RunFile, 'databaseUrl'> {
  const { databaseUrl: _secret, ...rest } = run
  return rest
}
