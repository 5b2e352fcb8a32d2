// Runs one command line in this process, with files in memory and everything printed kept.
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import type { CliDeps } from '../../cli/deps.ts'
import { main } from '../../cli/main.ts'

export type Ran = { readonly code: number; readonly out: string; readonly err: string }

export type Desk = {
  readonly files: Map<string, string>
  /** Files that others may read. */
  readonly exposed: Set<string>
  readonly run: (args: readonly string[], more?: Partial<CliDeps>) => Promise<Ran>
}

export const now = new Date('2026-01-31T12:00:00.000Z')
export const stateDir = '/state'
export const home = '/home/person/.config/gatehouse'

/** A person's desk: an empty home, nothing running unless a test puts a `run.json` there. */
export function createDesk(): Desk {
  const files = new Map<string, string>()
  const exposed = new Set<string>()
  const run: Desk['run'] = async (args, more = {}) => {
    let out = ''
    let err = ''
    const code = await main(
      {
        out: (text) => void (out += text),
        err: (text) => void (err += text),
        fetch,
        home,
        stateDir,
        url: undefined,
        version: '1.2.3',
        absolute: (path) => (path.startsWith('/') ? path : `/here/${path}`),
        readFile: async (path) => {
          const text = files.get(path)
          return text === undefined ? undefined : { text, exposed: exposed.has(path) }
        },
        writePrivateFile: async (path, text) => void files.set(path, text),
        alone: (work) => work(),
        readBytes: async (path) => {
          const text = files.get(path)
          return text === undefined ? undefined : bytesOf(text)
        },
        openOutput: async (path) => {
          let written = ''
          return {
            write: async (text) => void (path === undefined ? (out += text) : (written += text)),
            close: async () => void (path !== undefined && files.set(path, written)),
            abandon: async () => undefined,
          }
        },
        signerFromKey: (key) => {
          const account = privateKeyToAccount(key)
          return { address: account.address, signMessage: (text) => account.signMessage({ message: text }) }
        },
        newKey: generatePrivateKey,
        isTty: false,
        hasColours: more.isTty === true,
        isInputTty: false,
        inputLines: () => linesOf([]),
        openEditor: undefined,
        onInterrupt: () => () => undefined,
        signal: new AbortController().signal,
        now: () => now,
        ...more,
      },
      args,
    )
    return { code, out, err }
  }
  return { files, exposed, run }
}

// In pieces that cut lines and characters anywhere.
async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700)
}

export async function* linesOf(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines
}

/** A desk where somebody is signed in at `url`. */
export function signedInDesk(url: string, token = 'session-token'): Desk {
  const desk = createDesk()
  const stored = {
    kind: 'session',
    token,
    expiresAt: '2999-01-31T12:00:00.000Z',
    walletAddress: '0x00000000000000000000000000000000000000aa',
    keyFile: '/keys/mine.key',
  }
  desk.files.set(`${home}/credentials.json`, JSON.stringify({ [url]: stored }))
  desk.files.set(`${stateDir}/run.json`, JSON.stringify({ ready: true, api: [url], databaseUrl: 'postgres://secret' }))
  return desk
}
