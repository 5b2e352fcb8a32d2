// Where the Gatehouse is and who is signed in there. Credentials are kept per address: a token is never shown to another
// server than the one it was made for.
import { StoredCredentials, type StoredCredential } from '../schemas/credential.ts'
import { RunFile } from '../schemas/run-file.ts'
import { createClient, type Client } from '../sdk/client.ts'
import type { CliDeps } from './deps.ts'
import { FileError, NotSignedInError, UsageError } from './exit-codes.ts'

const defaultUrl = 'http://127.0.0.1:4300'

/** What runs with this state folder; undefined when nothing does. */
export async function readRun(deps: CliDeps): Promise<RunFile | undefined> {
  const file = await deps.readFile(`${deps.stateDir}/run.json`)
  return file === undefined ? undefined : RunFile.safeParse(jsonOf(file.text)).data
}

/** `--url`, else GATEHOUSE_URL, else what runs with this state folder, else the default port. */
export async function findUrl(deps: CliDeps, option: string | undefined): Promise<string> {
  const named = option ?? deps.url
  if (named !== undefined && !/^https?:\/\//.test(URL.canParse(named) ? new URL(named).href : ''))
    throw new UsageError(`"${named}" is not an address; it begins with http:// or https://.`)
  return (named ?? (await readRun(deps))?.api[0] ?? defaultUrl).replace(/\/+$/, '')
}

/** A client nobody is signed in with. */
export async function openClient(deps: CliDeps, url: string | undefined): Promise<Client> {
  return createClient({ baseUrl: await findUrl(deps, url), fetch: deps.fetch })
}

/** A client signed in as the person remembered for this address. Throws NotSignedInError without a round trip. */
export async function openSignedIn(deps: CliDeps, url: string | undefined): Promise<Client> {
  const baseUrl = await findUrl(deps, url)
  const stored = await readStored(deps, baseUrl)
  if (stored === undefined) throw new NotSignedInError(`Nobody is signed in at ${baseUrl}.`)
  if (Date.parse(stored.expiresAt) <= deps.now().getTime())
    throw new NotSignedInError(`The sign-in at ${baseUrl} has expired.`)
  return createClient({ baseUrl, token: stored.token, fetch: deps.fetch })
}

export async function readStored(deps: CliDeps, url: string): Promise<StoredCredential | undefined> {
  return (await readAll(deps))[url]
}

/** Remembers, or with undefined forgets, the credential of an address. */
export async function writeStored(deps: CliDeps, url: string, stored: StoredCredential | undefined): Promise<void> {
  await deps.alone(async () => {
    const { [url]: _old, ...others } = await readAll(deps)
    const all = stored === undefined ? others : { ...others, [url]: stored }
    await deps.writePrivateFile(credentialsFile(deps), `${JSON.stringify(all, null, 2)}\n`)
  })
}

const credentialsFile = (deps: CliDeps) => `${deps.home}/credentials.json`

async function readAll(deps: CliDeps): Promise<StoredCredentials> {
  const file = await deps.readFile(credentialsFile(deps))
  if (file === undefined) return {}
  const parsed = StoredCredentials.safeParse(jsonOf(file.text))
  if (parsed.success) return parsed.data
  throw new FileError(credentialsFile(deps), 'EBADMSG')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
