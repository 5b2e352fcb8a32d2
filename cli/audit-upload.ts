// `gatehouse audit upload`: what a sink does not have yet of the chain, from the record where the last run stopped.
import { DeliveryState } from '../schemas/audit-delivery.ts'
import { deliver, DeliveryFault, ocsfCollector, openAuditKeys, presignedStore } from '../sdk/client.ts'
import { parseWords } from './arguments.ts'
import type { CliDeps } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { printJson, printLine, printNote } from './output.ts'
import { openSignedIn } from './settings.ts'

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const options = { to: text, state: text, token: text, tenant: text, ocsf: flag, redact: flag } as const

export async function upload(deps: CliDeps, args: readonly string[]): Promise<number> {
  const { values } = parseWords(args, { options })
  const { to, tenant, redact, ocsf } = values
  if (to === undefined) throw new UsageError('The sink is missing: --to URL.')
  if (values.state === undefined) throw new UsageError('The offset file is missing: --state FILE.')
  if (!URL.canParse(to)) throw new UsageError(`"${to}" is not an address.`)
  const file = deps.absolute(values.state)
  const client = await openSignedIn(deps, values.url)
  const tools = await openAuditKeys(await client.audit.keys())
  const token = values.token === undefined ? undefined : await tokenOf(deps, values.token)
  const facts = { fetch: deps.fetch, url: to, token, sha256: tools.sha256, signal: deps.signal }
  const { origin, pathname } = new URL(to) // a query may hold a secret
  const form = redact === true ? 'redacted' : 'original'
  try {
    const delivered = await deliver({
      source: (after, end) => client.audit.export({ after, to: end, tenant, redact, signal: deps.signal }),
      tools,
      state: {
        read: () => readState(deps, file),
        write: (state) => deps.writePrivateFile(file, `${JSON.stringify(state)}\n`),
      },
      sink: `${origin}${pathname}`,
      form: ocsf === true ? (redact === true ? 'ocsf-redacted' : 'ocsf') : form,
      send: ocsf === true ? ocsfCollector(facts) : presignedStore(facts),
    })
    if (values.json === true) printJson(deps, delivered)
    else printLine(deps, `${delivered.records} records sent; the sink has the chain up to record ${delivered.seq}.`)
    return exitCodes.ok
  } catch (error) {
    if (!(error instanceof DeliveryFault)) throw error
    if (error.code === 'other-sink') throw new UsageError(error.message)
    printNote(deps, `gatehouse: ${error.message} Nothing of it was sent.`)
    return exitCodes.broken
  }
}

async function readState(deps: CliDeps, path: string): Promise<DeliveryState | undefined> {
  const file = await deps.readFile(path)
  if (file === undefined) return undefined
  try {
    return DeliveryState.parse(JSON.parse(file.text))
  } catch {
    throw new UsageError(`${path} is no offset file.`)
  }
}

async function tokenOf(deps: CliDeps, path: string): Promise<string> {
  const file = await deps.readFile(deps.absolute(path))
  if (file === undefined) throw new UsageError(`There is no file ${path}.`)
  if (file.exposed) throw new UsageError(`${path} can be read by others. Run: chmod 600 ${path}`)
  return file.text.trim()
}
