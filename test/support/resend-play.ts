// The same message sent again and again by a client that knows no key, through a proxy that breaks: what became of it.
import type { LedgerFacts } from './ledger-facts.ts'
import type { Person } from './person.ts'
import { sendClumsily, type Fault, type FaultyProxy, type Sent } from './clumsy-client.ts'
import { until } from './installation.ts'

export type ResendOrder = {
  readonly proxy: FaultyProxy
  readonly person: Person
  readonly ledger: LedgerFacts
  readonly message: string
  /** One list for each message that is sent; `none` follows. */
  readonly rounds: readonly (readonly Fault[])[]
}

export type ResendSeen = {
  readonly sent: readonly Sent[]
  /** Of the session, as its rows say. */
  readonly turns: number
  readonly userMessages: number
  readonly charges: number
  readonly held: bigint
}

/** Sends one message per round in one session, each until it is answered. */
export async function playResend({ proxy, person, ledger, message, rounds }: ResendOrder): Promise<ResendSeen> {
  const sessionId = await person.openSession()
  const sent: Sent[] = []
  for (const faults of rounds) {
    proxy.faults.splice(0, Infinity, ...faults)
    sent.push(await sendClumsily(person, { base: proxy.url, sessionId, message }))
  }
  await until(async () => (await ledger.held(person.address)) === 0n, 20_000)
  const [row] = await ledger.query(
    `SELECT (SELECT count(*) FROM turn WHERE session_id = $1) AS turns,
      (SELECT count(*) FROM message WHERE session_id = $1 AND kind = 'user') AS messages,
      (SELECT count(*) FROM transfer p JOIN turn t ON p.workflow_id LIKE t.id || ':%'
       WHERE t.session_id = $1 AND p.op = 'post' AND p.code = 10) AS charges`,
    [sessionId],
  )
  return {
    sent,
    turns: Number(row?.['turns']),
    userMessages: Number(row?.['messages']),
    charges: Number(row?.['charges']),
    held: await ledger.held(person.address),
  }
}
