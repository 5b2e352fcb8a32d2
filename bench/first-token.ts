// How long a person waits for the first token through Gatehouse, against the same upstream called directly in the same
// run, alternating; and the CPU that a turn costs in the API and in the worker.
import { readFileSync } from 'node:fs'
import { startInstallation } from '../test/support/installation.ts'
import { connectLedgerFacts } from '../test/support/ledger-facts.ts'
import { signIn } from '../test/support/person.ts'

const rounds = Number(process.argv[2] ?? 60)
const warmUp = 10

const quantile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN
const ms = (value: number) => `${value.toFixed(1)} ms`

/** CPU milliseconds of a process so far, all threads. Linux counts in ticks of 10 ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function directFirstTokenMs(modelUrl: string): Promise<number> {
  const startedAt = performance.now()
  const reply = await fetch(`${modelUrl}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': 'bench', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({
      model: 'scripted-1',
      max_tokens: 1024,
      stream: true,
      messages: [{ role: 'user', content: 'hello there' }],
    }),
  })
  let text = ''
  for await (const chunk of reply.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString('utf8')
    if (text.includes('text_delta')) break
  }
  return performance.now() - startedAt
}

await using house = await startInstallation()
const run = await house.run()
const base = run.api[0] ?? ''
await using ledger = await connectLedgerFacts(run.databaseUrl)
const person = await signIn(base)
await ledger.fund(person.address, 1_000_000_000n)

const direct: number[] = []
const through: number[] = []
let cpu = { api: 0, durable: 0 }
for (let round = 0; round < rounds + warmUp; round += 1) {
  if (round === warmUp) {
    direct.length = 0
    through.length = 0
    cpu = { api: cpuMs(run.pids.api[0] ?? 0), durable: cpuMs(run.pids.durable[0] ?? 0) }
  }
  direct.push(await directFirstTokenMs(run.model))
  const sessionId = await person.openSession()
  const reply = await person.chat({ base, sessionId, message: 'hello there' })
  if (reply.firstTextMs !== null) through.push(reply.firstTextMs)
}
const perTurn = {
  api: (cpuMs(run.pids.api[0] ?? 0) - cpu.api) / rounds,
  durable: (cpuMs(run.pids.durable[0] ?? 0) - cpu.durable) / rounds,
}
const report = [
  `rounds                 ${through.length} of ${rounds}`,
  `direct first token     p50 ${ms(quantile(direct, 0.5))}  p99 ${ms(quantile(direct, 0.99))}`,
  `through Gatehouse      p50 ${ms(quantile(through, 0.5))}  p99 ${ms(quantile(through, 0.99))}`,
  `added                  p50 ${ms(quantile(through, 0.5) - quantile(direct, 0.5))}  p99 ${ms(quantile(through, 0.99) - quantile(direct, 0.99))}`,
  `CPU per turn           API ${ms(perTurn.api)}  worker ${ms(perTurn.durable)} (session creation included)`,
]
process.stdout.write(`${report.join('\n')}\n`)
