// The `gatehouse` command as a process: keys, files, signals and streams for `cli/`.
import { mkdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { CliDeps, PrivateFile } from '../cli/deps.ts'
import { FileError } from '../cli/exit-codes.ts'
import { main } from '../cli/main.ts'
import { samePressMs } from '../domain/limits.ts'
import { createLineEditor } from './line-editor.ts'
import { tryLock } from './local/file-lock.ts'
import { sleep } from './local/processes.ts'
import { writeWhole } from './local/whole-file.ts'
import { fileError, openFile, openStdout, readBytes } from './cli-files.ts'

const interrupted = new AbortController()
const listeners: (() => void)[] = []
let pressedAt = -Infinity
// While nobody listens only the first one is ours: the second one ends the process without waiting for the server.
function onSigint(): void {
  const isSamePress = performance.now() - pressedAt < samePressMs
  pressedAt = performance.now()
  if (isSamePress) return
  const heard = listeners.at(-1)
  if (heard) return heard()
  interrupted.abort()
  process.off('SIGINT', onSigint)
}
process.on('SIGINT', onSigint)
process.once('SIGTERM', () => interrupted.abort())

function onInterrupt(heard: () => void): () => void {
  listeners.push(heard)
  return () => void listeners.splice(listeners.indexOf(heard), 1)
}

// A reader that left, such as `head`, ends the command as an interrupt does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  interrupted.abort()
})

const env = (name: string) => (process.env[name] === '' ? undefined : process.env[name])
const configHome = env('XDG_CONFIG_HOME') ?? join(homedir(), '.config')

const fileBytesMax = 1_000_000 // keys, tokens and run.json are small; a device or a log given by mistake is not
const aloneMsMax = 10_000

async function readPrivate(path: string): Promise<PrivateFile | undefined> {
  try {
    const { mode, size } = await stat(path)
    if (size > fileBytesMax) throw new FileError(path, 'EFBIG')
    return { text: await readFile(path, 'utf8'), exposed: (mode & 0o077) !== 0 }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError(path, error)
  }
}

async function writePrivate(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeWhole(path, text)
  } catch (error) {
    throw fileError(path, error)
  }
}

// What is read, changed and written again must not be changed by another command between.
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const folder = join(configHome, 'gatehouse', 'lock')
  const deadline = performance.now() + aloneMsMax
  for (;;) {
    const taken = await tryLock(folder).catch((error: unknown) => {
      throw fileError(folder, error)
    })
    if (taken.kind === 'ours') {
      try {
        return await work()
      } finally {
        await taken.release()
      }
    }
    if (performance.now() > deadline) throw new FileError(folder, 'EBUSY')
    await sleep(20)
  }
}

async function* inputLines(): AsyncGenerator<string> {
  yield* createInterface({ input: process.stdin, crlfDelay: Infinity, signal: interrupted.signal })
}

const hasEditor = process.stdin.isTTY && process.stderr.isTTY && env('TERM') !== 'dumb'
const openEditor = (history: readonly string[]) =>
  createLineEditor({ input: process.stdin, output: process.stderr }, history)

const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const deps: CliDeps = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  fetch,
  home: join(configHome, 'gatehouse'),
  stateDir: resolve(env('GATEHOUSE_STATE_DIR') ?? '.gatehouse'),
  url: env('GATEHOUSE_URL'),
  version,
  absolute: (path) => resolve(path),
  readFile: readPrivate,
  writePrivateFile: writePrivate,
  alone,
  readBytes,
  openOutput: async (path) => (path === undefined ? openStdout(interrupted.signal) : openFile(path)),
  signerFromKey: (key) => {
    const account = privateKeyToAccount(key)
    return { address: account.address, signMessage: (text) => account.signMessage({ message: text }) }
  },
  newKey: generatePrivateKey,
  isTty: process.stdout.isTTY,
  // https://no-color.org: any text in NO_COLOR switches colours off, an empty one does not.
  hasColours: process.stdout.isTTY && env('NO_COLOR') === undefined && env('TERM') !== 'dumb',
  isInputTty: process.stdin.isTTY,
  inputLines,
  openEditor: hasEditor ? openEditor : undefined,
  onInterrupt,
  signal: interrupted.signal,
  now: () => new Date(),
}

process.exitCode = await main(deps, process.argv.slice(2))
