// Money under contention: more requests at once than a wallet can pay, one session each. The model holds every answer
// until all requests are decided, and each answer costs exactly its reservation.
import { until, type RunFile } from './installation.ts'
import { connectLedgerFacts, type LedgerFacts } from './ledger-facts.ts'
import { lastOf, signIn } from './person.ts'

export type ContentionOrder = { readonly requests: number; readonly affordable: number }
export type ContentionSeen = {
  readonly answered: number
  readonly refused: number
  readonly reached: number
  readonly left: bigint
  readonly faults: number
}

/** Runs it against an installation and says what was seen. */
export async function contend(
  { api, databaseUrl, model }: RunFile,
  { requests, affordable }: ContentionOrder,
): Promise<ContentionSeen> {
  await using ledger = await connectLedgerFacts(databaseUrl)
  const base = api[0] ?? ''
  const { hold, bound, text } = await roundMessage(base, ledger)
  const person = await signIn(base)
  const sessions: string[] = []
  for (let index = 0; index < requests; index += 1) sessions.push(await person.openSession())
  await ledger.fund(person.address, hold * BigInt(affordable))
  const usage = {
    input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: bound.inputTokens },
    output_tokens: bound.outputTokens,
  }
  await steer(model, { hold: true, usage })
  const before = await requestsSeen(model)
  const statuses: number[] = []
  const codes = new Map<string, number>()
  const count = (status: number) => statuses.filter((each) => each === status).length
  const chats = sessions.map(async (sessionId, index) => {
    const reply = await person.chat({ base: api[index % api.length] ?? base, sessionId, message: text })
    statuses.push(reply.status)
    const code = (reply.body as { code?: string } | null)?.code ?? 'done'
    codes.set(code, (codes.get(code) ?? 0) + 1)
    return reply
  })
  for (const chat of chats) chat.catch(() => undefined) // met again below, unless the wait ends first
  await until(
    async () => count(402) === requests - affordable && (await requestsSeen(model)) - before === affordable,
    90_000,
  ).catch(async () => {
    const reached = (await requestsSeen(model)) - before
    throw new Error(`After 90 s ${reached} had reached the model; replies by then: ${JSON.stringify([...codes])}.`)
  })
  await steer(model, { usage })
  const replies = await Promise.all(chats)
  await until(async () => (await ledger.held(person.address)) === 0n, 30_000)
  const reached = (await requestsSeen(model)) - before
  await steer(model, {})
  return {
    answered: replies.filter((reply) => lastOf(reply).type === 'done').length,
    refused: count(402),
    reached,
    left: await ledger.available(person.address),
    faults: (await ledger.faults()).length,
  }
}

type Round = {
  readonly text: string
  readonly hold: bigint
  readonly bound: { readonly inputTokens: number; readonly outputTokens: number }
}

// A message whose bound is a multiple of ten tokens: its price then has no fraction of a micro-USD to round. What a turn
// reserves is learned from turns of somebody else.
async function roundMessage(base: string, ledger: LedgerFacts): Promise<Round> {
  const probe = await signIn(base)
  await ledger.fund(probe.address, 10_000_000n)
  const holdOf = async (text: string) => {
    await probe.chat({ base, sessionId: await probe.openSession(), message: text })
    return ledger.newestHold(probe.address)
  }
  const inputTokens = Number((await holdOf('hello')).meta['inputTokens'])
  const text = `hello${'.'.repeat((10 - (inputTokens % 10)) % 10)}`
  const { amount, meta } = await holdOf(text)
  return {
    text,
    hold: amount,
    bound: { inputTokens: Number(meta['inputTokens']), outputTokens: Number(meta['outputTokens']) },
  }
}

async function steer(model: string, control: object): Promise<void> {
  const reply = await fetch(`${model}/control`, { method: 'POST', body: JSON.stringify(control) })
  if (!reply.ok) throw new Error(`The model refuses the directive: ${await reply.text()}`)
}

async function requestsSeen(model: string): Promise<number> {
  const { total } = (await (await fetch(`${model}/journal`)).json()) as { total: number }
  return total
}
