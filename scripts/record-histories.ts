// Records one history of each workflow from a real conversation, for the replay suite. The master key is the suite's own,
// so that the ciphertext can be read there.
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import { replayMasterKey } from '../test/support/replay.ts'
import { startInstallation } from '../test/support/installation.ts'
import { signIn } from '../test/support/person.ts'
import { sessionWorkflowId, turnWorkflowId } from '../workflows/contract.ts'

const version = process.argv[2] ?? '0.1.0'
await using house = await startInstallation({ env: { GATEHOUSE_MASTER_KEY: replayMasterKey.toString('hex') } })
const { api, temporalAddress } = await house.run()
const person = await signIn(api[0] ?? '')
await person.json('POST', '/wallet/faucet')
const sessionId = await person.openSession()
const reply = await person.chat({ base: api[0] ?? '', sessionId, message: 'add 2 and 40 with the tool' })
await person.chat({ base: api[0] ?? '', sessionId, message: 'thank you' })
const turnId = reply.headers.get('x-turn-id') ?? ''
const connection = await Connection.connect({ address: temporalAddress })
const client = new Client({ connection, namespace: 'gatehouse' })
const wanted = [
  ['chatSession', sessionWorkflowId(sessionId)],
  ['agentTurn', turnWorkflowId({ sessionId, turnId, try: 1 })],
] as const
for (const [name, id] of wanted) {
  const folder = fileURLToPath(new URL(`../test/workflows/histories/${name}/${version}/`, import.meta.url))
  mkdirSync(folder, { recursive: true })
  const history = historyToJSON(await client.workflow.getHandle(id).fetchHistory())
  writeFileSync(`${folder}two-turns-with-a-tool.json`, `${history}\n`)
}
await connection.close()
