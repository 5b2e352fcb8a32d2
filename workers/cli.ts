// The `gatehouse` command as a process: keys, files, signals and streams for `cli/`.
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { CliDeps, PrivateFile } from '../cli/deps.ts'
import { main } from '../cli/main.ts'
import { openFile, openStdout, readBytes } from './cli-files.ts'

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Once: the second one no longer waits for the server.
  process.once(signal, () => {
    interrupted.abort()
  })
}
// A reader that left, such as `head`, ends the command as an interrupt does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  interrupted.abort()
})

const env = (name: string) => (process.env[name] === '' ? undefined : process.env[name])
const configHome = env('XDG_CONFIG_HOME') ?? join(homedir(), '.config')

async function readPrivate(path: string): Promise<PrivateFile | undefined> {
  try {
    const [text, { mode }] = await Promise.all([readFile(path, 'utf8'), stat(path)])
    return { text, exposed: (mode & 0o077) !== 0 }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function writePrivate(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.draft`
  await writeFile(draft, text, { mode: 0o600 })
  await chmod(draft, 0o600) // a draft left by an earlier process keeps its mode otherwise
  await rename(draft, path)
}

async function* inputLines(): AsyncGenerator<string> {
  yield* createInterface({ input: process.stdin, crlfDelay: Infinity, signal: interrupted.signal })
}

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
  readBytes,
  openOutput: async (path) => (path === undefined ? openStdout(interrupted.signal) : openFile(path)),
  signerFromKey: (key) => {
    const account = privateKeyToAccount(key)
    return { address: account.address, signMessage: (text) => account.signMessage({ message: text }) }
  },
  newKey: generatePrivateKey,
  isTty: process.stdout.isTTY && env('NO_COLOR') === undefined,
  isInputTty: process.stdin.isTTY,
  inputLines,
  signal: interrupted.signal,
  now: () => new Date(),
}

process.exitCode = await main(deps, process.argv.slice(2))
