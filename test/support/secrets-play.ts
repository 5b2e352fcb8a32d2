// Turns in which everything is said that must not be found: the installation's keys by the model, whole and in pieces, and
// words of people, models and tools. Then every file of the installation, every history and every line is searched.
import { Client, Connection } from '@temporalio/client'
import { randomBytes } from 'node:crypto'
import { startScriptedModel } from '../../workers/local/scripted-model.ts'
import { canariesBelow, canariesIn, type Canary } from './canary.ts'
import { startInstallation, until, type Installation } from './installation.ts'
import { connectLedgerFacts } from './ledger-facts.ts'
import { lastOf, signIn, textOf, type ChatReply, type Person } from './person.ts'

export type SecretsPlay = AsyncDisposable & {
  readonly house: Installation
  readonly person: Person
  /** Secrets of the installation. */
  readonly keys: readonly Canary[]
  /** Words of people, models, tools and callers, by where they were planted. */
  readonly words: Canary[]
  readonly plant: (where: string) => string
  readonly control: (directive: object) => Promise<void>
  readonly chat: (message: string, headers?: Record<string, string>) => Promise<ChatReply>
  /** What is found: in replies, histories, metrics and all files. */
  readonly search: () => Promise<string[]>
}

const random = () => randomBytes(15).toString('base64url')

/** Starts a model of our own and an installation that knows it by an address and a key. */
export async function openSecretsPlay(): Promise<SecretsPlay> {
  const ending = new AbortController()
  const { url } = await startScriptedModel({ port: 0, signal: ending.signal })
  const core = randomBytes(8).toString('hex')
  const keys = [
    { name: 'ANTHROPIC_API_KEY', value: `sk-ant-${core}-${random()}` },
    { name: 'GATEHOUSE_MASTER_KEY', value: `${core}${randomBytes(24).toString('hex')}` },
  ]
  const house = await startInstallation({
    readyMsMax: 110_000,
    env: {
      ...Object.fromEntries(keys.map(({ name, value }) => [name, value])),
      ANTHROPIC_BASE_URL: url,
      LOG_LEVEL: 'trace',
    },
  })
  const run = await house.run()
  const base = run.api[0] ?? ''
  const person = await signIn(base)
  await using ledger = await connectLedgerFacts(run.databaseUrl)
  await ledger.fund(person.address, 1_000_000_000n)
  const words: Canary[] = []
  const heard: string[] = []
  return {
    house,
    person,
    keys,
    words,
    plant(where) {
      const value = `w0rd-${core}-${random()}`
      words.push({ name: `${where} ${words.length}`, value })
      return value
    },
    async control(directive) {
      const reply = await fetch(`${url}/control`, { method: 'POST', body: JSON.stringify(directive) })
      if (!reply.ok) throw new Error(`The model refuses the directive: ${await reply.text()}`)
    },
    async chat(message, headers = {}) {
      const sessionId = await person.openSession('assistant', 'haiku')
      const reply = await person.chat({ sessionId, message, headers })
      heard.push(textOf(reply), JSON.stringify(reply.events), JSON.stringify(lastOf(reply)))
      return reply
    },
    async search() {
      await until(async () => (await openRuns(run.temporalAddress)) === 0, 30_000)
      const metrics = await (await fetch(`${base}/metrics`)).text()
      const all = { core, each: [...keys, ...words] }
      const told = canariesIn(Buffer.from(heard.join('\n')), { core, each: keys }).map((name) => `${name} in replies`)
      const output = canariesIn(Buffer.from(`${metrics}\n${house.output()}`), all).map(
        (name) => `${name} in metrics or output`,
      )
      const histories = canariesIn(await allHistories(run.temporalAddress), all).map((name) => `${name} in histories`)
      const files = await canariesBelow(house.stateDir, all)
      const data = await canariesBelow(await dataFolder(run.databaseUrl), all)
      return [...told, ...output, ...histories, ...files, ...data.map((found) => `${found} of Postgres`)]
    },
    async [Symbol.asyncDispose]() {
      await house[Symbol.asyncDispose]()
      ending.abort()
    },
  }
}

async function withTemporal<T>(address: string, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address })
  try {
    return await work(new Client({ connection, namespace: 'gatehouse' }))
  } finally {
    await connection.close()
  }
}

const openRuns = (address: string): Promise<number> =>
  withTemporal(address, async (client) => {
    const query = "WorkflowType = 'agentTurn' AND ExecutionStatus = 'Running'"
    return (await client.workflow.count(query)).count
  })

// Payloads are bytes in them, which JSON shows as numbers: they are taken as they are.
const allHistories = (address: string): Promise<Buffer> =>
  withTemporal(address, async (client) => {
    const parts: Uint8Array[] = []
    for await (const { workflowId, runId } of client.workflow.list()) {
      const history = await client.workflow.getHandle(workflowId, runId).fetchHistory()
      const text = JSON.stringify(history, (_name, value: unknown) => {
        if (!(value instanceof Uint8Array)) return value
        parts.push(value)
        return null
      })
      parts.push(Buffer.from(`${text}\n`))
    }
    return Buffer.concat(parts)
  })

async function dataFolder(databaseUrl: string): Promise<string> {
  await using ledger = await connectLedgerFacts(databaseUrl)
  await ledger.query('CHECKPOINT')
  return String((await ledger.query('SHOW data_directory'))[0]?.['data_directory'])
}
