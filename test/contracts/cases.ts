// Golden cases that need a stage of their own: a model that holds its answer, money that is stopped.
import { expectGolden } from '../support/golden.ts'
import { until, type RunFile } from '../support/installation.ts'
import { connectLedgerFacts } from '../support/ledger-facts.ts'
import { useUp } from '../support/quota-facts.ts'
import type { Person } from '../support/person.ts'

// Compares and answers the status.
async function golden(name: string, reply: Response): Promise<number> {
  await expectGolden(name, reply)
  return reply.status
}

/** A turn that is cancelled while its model is silent, and once more after its end. */
export async function cancelCases({ model }: RunFile, person: Person): Promise<number[]> {
  const steer = (control: object) => fetch(`${model}/control`, { method: 'POST', body: JSON.stringify(control) })
  const asked = async () => ((await (await fetch(`${model}/journal`)).json()) as { total: number }).total
  await person.json('POST', '/wallet/faucet')
  const path = `/agents/assistant/sessions/${await person.openSession()}`
  const before = await asked()
  await steer({ hold: true })
  const chat = await person.call('POST', `${path}/chat`, { message: 'hello' })
  const cancel = `${path}/turns/${chat.headers.get('x-turn-id')}/cancel`
  await until(async () => (await asked()) > before, 10_000)
  const running = [await golden('5-cancel', await person.call('POST', cancel)), await golden('5-chat-cancelled', chat)]
  await steer({})
  return [...running, await golden('5-cancel-ended', await person.call('POST', cancel))]
}

/** A tool whose result is longer than a turn shows, and a call that has none. */
export async function longResultCases({ model }: RunFile, person: Person): Promise<number[]> {
  const steer = (control: object) => fetch(`${model}/control`, { method: 'POST', body: JSON.stringify(control) })
  await person.json('POST', '/wallet/faucet')
  const sessionId = await person.openSession()
  await steer({ chunkMs: 0, say: { tool: 'everything__echo', input: { message: 'x'.repeat(70_000) } } })
  const { headers, events } = await person.chat({ sessionId, message: 'repeat it' })
  await steer({})
  const { id = '' } = (events.find(({ type }) => type === 'tool_result')?.data ?? {}) as { id?: string }
  const results = `/agents/assistant/sessions/${sessionId}/turns/${headers.get('x-turn-id')}/results`
  const whole = await person.call('GET', `${results}/${encodeURIComponent(id)}`)
  await expectGolden('5-result', whole, 'the whole result')
  return [whole.status, await golden('5-result-unknown', await person.call('GET', `${results}/toolu_none`))]
}

/** A turn of a wallet whose money is stopped. */
export async function moneyStopCase({ databaseUrl }: RunFile, person: Person): Promise<number> {
  await person.json('POST', '/wallet/faucet')
  const session = await person.openSession()
  await using database = await connectLedgerFacts(databaseUrl)
  await database.query("SELECT money_halt(id, 'a test') FROM wallet WHERE address = $1", [person.address])
  const chat = `/agents/assistant/sessions/${session}/chat`
  const status = await golden('6-money-stopped', await person.call('POST', chat, { message: 'hello' }))
  await database.query("SELECT money_resume(id, 'a test') FROM wallet WHERE address = $1", [person.address])
  return status
}

/** A turn of a person whose requests of this minute are used up. */
export async function rateCase({ databaseUrl }: RunFile, person: Person): Promise<number> {
  await using database = await connectLedgerFacts(databaseUrl)
  const name = person.address.toLowerCase()
  await useUp(database, `requests-per-minute|human:${name}/${name}|chat.submit`, 700)
  const chat = `/agents/assistant/sessions/${await person.openSession()}/chat`
  return golden('14-chat-rate-limited', await person.call('POST', chat, { message: 'hello' }))
}

/** An agent of a person's own, from its first version to its end. */
export async function ownAgentCases(mine: Person, other: Person): Promise<number[]> {
  const clerk = { id: 'clerk', name: 'Clerk', mcp_servers: ['everything'], tools: ['everything/echo'] }
  const reply = await mine.call('POST', '/agents/custom', { definition: clerk })
  const { agentId } = (await reply.clone().json()) as { agentId: string }
  const faulty = { definition: { ...clerk, tools: ['workbench/*'] } }
  return [
    await golden('4-agent-save', reply),
    await golden('4-agent-save-invalid', await mine.call('POST', '/agents/custom', faulty)),
    await golden('4-agents-own', await mine.call('GET', '/wallet/agents')),
    await golden('4-agent-definition', await mine.call('GET', `/agents/custom/${agentId}`)),
    await golden('4-agent-foreign', await other.call('GET', `/agents/custom/${agentId}`)),
    await golden('4-agent-requirements', await mine.call('GET', `/agents/${agentId}/mcp-requirements`)),
    await golden('4-agent-delete', await mine.call('DELETE', `/agents/custom/${agentId}`)),
  ]
}

/** The same request under one key, and another one under it. */
export async function keyCases(base: string, { token }: Person): Promise<number[]> {
  const send = (period: string) =>
    fetch(`${base}/wallet/budgets/agent/assistant`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': 'one' },
      body: JSON.stringify({ period, limitMicroUsd: '5000' }),
    })
  const first = await send('weekly')
  return [
    first.status,
    await golden('1-key-replayed', await send('weekly')),
    await golden('1-key-reused', await send('daily')),
  ]
}
