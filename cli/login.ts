// `gatehouse login`: a key file signs, the token is remembered. The key itself is never printed, sent or taken from the
// command line.
import { createClient, formatMicros, GatehouseError, type Client, type Credential } from '../sdk/client.ts'
import { walletTokenSecondsMax } from '../domain/limits.ts'
import { parseWords } from './arguments.ts'
import type { CliDeps, Command } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printJson, printLine, printNote, timeOf } from './output.ts'
import { findUrl, readRun, readStored, writeStored } from './settings.ts'

export const login: Command = {
  summary: 'sign in with a wallet key',
  help: `Usage: gatehouse login [--new | --private-key FILE | --identity NAME] [--json] [--url URL]
       gatehouse auth login …

Signs in and remembers the token. Without a choice the key of the last sign-in at this address signs again.

  --new                Makes a new key, keeps it in a file only you can read, and asks for play money.
  --private-key FILE   Signs with the key in FILE: 0x and 64 hexadecimal digits.
  --identity NAME      Signs as maintainer, reviewer or agent-owner of the installation on this machine (development).

Examples:
  npx --no gatehouse login --new
  npx --no gatehouse login --private-key ~/keys/wallet.key
  npx --no gatehouse login --identity maintainer`,
  async run(deps, args) {
    const { values } = parseWords(args, {
      options: { new: { type: 'boolean' }, 'private-key': { type: 'string' }, identity: { type: 'string' } },
    })
    const url = await findUrl(deps, values.url)
    const chosen = [values.new, values['private-key'], values.identity].filter((value) => value !== undefined)
    if (chosen.length > 1) throw new UsageError('Only one of --new, --private-key and --identity can be meant.')
    const source = await keySource(deps, {
      url,
      file: values['private-key'],
      identity: values.identity,
      isNew: values.new,
    })
    const client = createClient({ baseUrl: url, fetch: deps.fetch })
    const credential = await signIn(deps, client, source.key)
    const keyFile = source.file ?? `${deps.home}/keys/${credential.walletAddress.toLowerCase()}.key`
    if (source.file === undefined) await deps.writePrivateFile(keyFile, `${source.key}\n`)
    await writeStored(deps, url, { ...credential, keyFile })
    const playMoney = source.file === undefined ? await askFaucet(deps, client) : undefined
    report(deps, { url, credential, keyFile, playMoney, json: values.json === true })
    return exitCodes.ok
  },
}

type Asked = {
  readonly url: string
  readonly file: string | undefined
  readonly identity: string | undefined
  readonly isNew: boolean | undefined
}

/** `file` is absent for a key that was just made and is kept once the server has accepted it. */
type KeySource = { readonly key: `0x${string}`; readonly file: string | undefined }

async function keySource(deps: CliDeps, { url, file, identity, isNew }: Asked): Promise<KeySource> {
  if (isNew === true) return { key: deps.newKey(), file: undefined }
  if (file !== undefined) return readKey(deps, file)
  if (identity !== undefined) return readKey(deps, await identityFile(deps, identity))
  const stored = await readStored(deps, url)
  if (stored !== undefined) return readKey(deps, stored.keyFile)
  throw new UsageError('Say who signs: --new, --private-key FILE or --identity NAME.')
}

async function readKey(deps: CliDeps, path: string): Promise<KeySource> {
  if (isKey(path)) throw new UsageError('--private-key takes a file. A key on a command line is a key in the history.')
  const found = deps.absolute(path) // remembered: the next sign-in may stand in another folder
  const file = await deps.readFile(found)
  if (file === undefined) throw new UsageError(`There is no key file ${path}.`)
  const key = file.text.trim()
  if (!isKey(key)) throw new UsageError(`${path} does not hold a key: 0x and 64 hexadecimal digits.`)
  if (file.exposed) printNote(deps, `Others can read ${path}. Close it with: chmod 600 ${path}`)
  return { key, file: found }
}

const isKey = (text: string): text is `0x${string}` => /^0x[0-9a-fA-F]{64}$/.test(text)

async function identityFile(deps: CliDeps, name: string): Promise<string> {
  const demo = (await readRun(deps))?.demo ?? []
  const found = demo.find((identity) => identity.name === name)
  if (found !== undefined) return found.keyFile
  const known = demo.map((identity) => identity.name).join(', ')
  throw new UsageError(
    known === ''
      ? `No installation with identities runs on ${deps.stateDir}. Start one with \`npm start\`.`
      : `There is no identity "${name}"; there are ${known}.`,
  )
}

async function signIn(deps: CliDeps, client: Client, key: `0x${string}`): Promise<Credential> {
  // Everything, said in so many words: a token that lists nothing means less (no withdrawals, no sign-in links).
  // A minute less than the longest life, for clocks that differ.
  const expiresAt = new Date(deps.now().getTime() + (walletTokenSecondsMax - 60) * 1000)
  return client.auth.createWalletToken(deps.signerFromKey(key), { expiresAt, permissions: ['*:*'] })
}

// The sign-in has succeeded by now: whatever the faucet says must not undo it.
async function askFaucet(deps: CliDeps, client: Client): Promise<string | undefined> {
  try {
    await client.wallet.faucet()
    return (await client.wallet.balance()).availableBalance
  } catch (error) {
    if (!(error instanceof GatehouseError)) throw error
    if (error.status !== 404) printNote(deps, `There is no play money now: ${error.message}`)
    return undefined
  }
}

type Report = {
  readonly url: string
  readonly credential: Credential
  readonly keyFile: string
  readonly playMoney: string | undefined
  readonly json: boolean
}

function report(deps: CliDeps, { url, credential, keyFile, playMoney, json }: Report): void {
  const { walletAddress, kind, expiresAt } = credential
  if (json) {
    printJson(deps, { url, walletAddress, kind, expiresAt, keyFile, playMoney: playMoney ?? null })
    return
  }
  printLine(deps, `Signed in at ${url} as ${walletAddress} until ${timeOf(expiresAt)} UTC.`)
  printLine(deps, `Key file: ${keyFile}`, 'dim')
  if (playMoney !== undefined) printLine(deps, `Balance: ${formatMicros(playMoney)} of play money.`)
}
