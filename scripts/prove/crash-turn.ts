// A durable worker dies (SIGKILL) at a random moment of a streaming turn with a tool. Each time the answer arrives, there
// is one final message, one charge per logical model step, and no hold is left.
import { isAlive, startInstallation, until } from '../../test/support/installation.ts'
import { connectLedgerFacts } from '../../test/support/ledger-facts.ts'
import { lastOf, signIn, textOf, type ChatOrder, type ChatReply, type Person } from '../../test/support/person.ts'
import { random, type Proof } from './proof.ts'

const roundsDefault = 10
const momentMsMax = 700

// A turn that nobody took is answered 503 and never runs: the client sends the same again, as the contract says.
async function chatUntilTaken(person: Person, order: ChatOrder): Promise<ChatReply> {
  for (;;) {
    const reply = await person.chat(order)
    if (reply.status !== 503) return reply
  }
}

export const prove: Proof = async ({ seed, print, rounds = roundsDefault }) => {
  const next = random(seed)
  await using house = await startInstallation({ args: ['--durable', '2'] })
  const { api, databaseUrl, model } = await house.run()
  await using ledger = await connectLedgerFacts(databaseUrl)
  const person = await signIn(api[0] ?? '')
  await ledger.fund(person.address, 1_000_000_000n)
  await fetch(`${model}/control`, { method: 'POST', body: JSON.stringify({ chunkMs: 25 }) })
  let broken = 0
  for (let round = 1; round <= rounds; round += 1) {
    const [a, b] = [Math.floor(next() * 1_000), Math.floor(next() * 1_000)]
    const momentMs = Math.floor(next() * momentMsMax)
    const sessionId = await person.openSession()
    const before = await ledger.available(person.address)
    const chatting = chatUntilTaken(person, {
      base: api[0] ?? '',
      sessionId,
      message: `add ${a} and ${b} with the workbench`,
    })
    await new Promise((resolve) => setTimeout(resolve, momentMs))
    const killed = (await house.run()).pids.durable
    for (const pid of killed) process.kill(pid, 'SIGKILL')
    const startedAt = performance.now()
    const reply = await chatting
    const recoveredMs = Math.round(performance.now() - startedAt)
    await until(async () => (await ledger.held(person.address)) === 0n, 30_000)
    const spent = before - (await ledger.available(person.address))
    const [facts] = await ledger.query(
      `SELECT (SELECT count(*) FROM message m JOIN turn t ON t.id = m.turn_id WHERE t.session_id = $1 AND m.kind = 'assistant') AS answers,
        (SELECT count(*) FROM transfer p WHERE p.op = 'post' AND p.code = 10 AND p.workflow_id LIKE (SELECT id FROM turn WHERE session_id = $1) || ':%') AS charges`,
      [sessionId],
    )
    const last = lastOf(reply)
    const good =
      last.type === 'done' &&
      textOf(reply).includes(String(a + b)) &&
      String(facts?.['answers']) === '2' &&
      String(facts?.['charges']) === '2' &&
      String(spent) === last.data['costRaw']
    if (!good) broken += 1
    print(
      `round ${round}: killed after ${momentMs} ms, answered ${recoveredMs} ms later, charged ${spent}: ${good ? 'ok' : `BROKEN ${JSON.stringify({ last, facts })}`}`,
    )
    // All are replaced before the next ones are killed.
    await until(
      async () => (await house.run()).pids.durable.every((pid) => isAlive(pid) && !killed.includes(pid)),
      30_000,
    )
  }
  const faults = await ledger.faults()
  print(`ledger faults: ${faults.length}`)
  return broken === 0 && faults.length === 0
}
