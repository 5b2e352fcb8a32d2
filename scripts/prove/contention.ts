// Money under contention: 200 requests, one session each, with money for 50. The model holds every answer until all are
// decided, and each answer costs exactly its reservation. Exactly 50 reach the model; the others get 402 before it.
import { startInstallation, until } from '../../test/support/installation.ts'
import { connectLedgerFacts } from '../../test/support/ledger-facts.ts'
import { lastOf, signIn } from '../../test/support/person.ts'
import type { Proof } from './proof.ts'

const requests = 200
const affordable = 50

export const prove: Proof = async ({ print }) => {
  await using house = await startInstallation({ args: ['--api', '2'] })
  const { api, databaseUrl, model } = (await house.run()) as Awaited<ReturnType<typeof house.run>> & { model: string }
  await using ledger = await connectLedgerFacts(databaseUrl)
  const steer = (control: object) => fetch(`${model}/control`, { method: 'POST', body: JSON.stringify(control) })
  const base = api[0] ?? ''
  // What one turn reserves, from a turn of somebody else.
  const probe = await signIn(base)
  await ledger.fund(probe.address, 10_000_000n)
  const message = await roundMessage(async (text) => {
    await probe.chat({ base, sessionId: await probe.openSession(), message: text })
    return ledger.newestHold(probe.address)
  })
  const { hold, bound, text } = message
  print(`a turn reserves ${hold} micro-USD (${bound.inputTokens} + ${bound.outputTokens} tokens)`)
  const person = await signIn(base)
  const sessions = []
  for (let index = 0; index < requests; index += 1) sessions.push(await person.openSession())
  await ledger.fund(person.address, hold * BigInt(affordable))
  const usage = {
    input_tokens: 0,
    cache_creation: { ephemeral_1h_input_tokens: bound.inputTokens },
    output_tokens: bound.outputTokens,
  }
  await steer({ hold: true, usage })
  const before = await journal(model)
  const decided = { refused: 0 }
  const chats = sessions.map(async (sessionId, index) => {
    const reply = await person.chat({ base: api[index % api.length] ?? base, sessionId, message: text })
    if (reply.status === 402) decided.refused += 1
    return reply
  })
  await until(
    async () => decided.refused === requests - affordable && (await journal(model)) - before === affordable,
    90_000,
  )
  await steer({ usage })
  const replies = await Promise.all(chats)
  const answered = replies.filter((reply) => lastOf(reply).type === 'done').length
  const reached = (await journal(model)) - before
  await until(async () => (await ledger.held(person.address)) === 0n, 30_000)
  const left = await ledger.available(person.address)
  const faults = await ledger.faults()
  print(
    `answered ${answered}, refused ${decided.refused}, reached the model ${reached}, left ${left} micro-USD, ledger faults ${faults.length}`,
  )
  return (
    answered === affordable &&
    decided.refused === requests - affordable &&
    reached === affordable &&
    left === 0n &&
    faults.length === 0
  )
}

type Round = {
  readonly text: string
  readonly hold: bigint
  readonly bound: { readonly inputTokens: number; readonly outputTokens: number }
}

// A message whose bound is a multiple of ten tokens: its price then has no fraction of a micro-USD to round.
async function roundMessage(
  holdOf: (text: string) => Promise<{ amount: bigint; meta: Record<string, unknown> }>,
): Promise<Round> {
  const first = await holdOf('hello')
  const inputTokens = Number(first.meta['inputTokens'])
  const text = `hello${'.'.repeat((10 - (inputTokens % 10)) % 10)}`
  const { amount, meta } = await holdOf(text)
  return {
    text,
    hold: amount,
    bound: { inputTokens: Number(meta['inputTokens']), outputTokens: Number(meta['outputTokens']) },
  }
}

async function journal(model: string): Promise<number> {
  const { requests: lines } = (await (await fetch(`${model}/journal`)).json()) as { requests: unknown[] }
  return lines.length
}
