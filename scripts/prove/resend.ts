// Random breaks between a client without a key and two replicas: whatever breaks, one turn and one charge for each message
// that was meant once, two for two that were each answered.
import { startFaultyProxy, type Fault } from '../../test/support/clumsy-client.ts'
import { startInstallation } from '../../test/support/installation.ts'
import { connectLedgerFacts } from '../../test/support/ledger-facts.ts'
import { lastOf, signIn } from '../../test/support/person.ts'
import { playResend } from '../../test/support/resend-play.ts'
import { random, type Proof } from './proof.ts'

const roundsDefault = 60
const breaks: readonly Fault[] = [500, 429, 401, 'cut-early', 'lost']

export const prove: Proof = async ({ seed, print, rounds = roundsDefault }) => {
  const next = random(seed)
  await using house = await startInstallation({ args: ['--api', '2', '--durable', '2'] })
  const { api, databaseUrl, model } = await house.run()
  await using ledger = await connectLedgerFacts(databaseUrl)
  await using proxy = await startFaultyProxy(api)
  const person = await signIn(api[0] ?? '')
  await ledger.fund(person.address, 1_000_000_000n)
  const some = () =>
    Array.from({ length: Math.floor(next() * 4) }, () => breaks[Math.floor(next() * breaks.length)] ?? 500)
  const dedupes = new Map<string, number>()
  let broken = 0
  for (let round = 1; round <= rounds; round += 1) {
    const chunkMs = Math.floor(next() * 120)
    await fetch(`${model}/control`, { method: 'POST', body: JSON.stringify({ chunkMs }) })
    const plan = next() < 0.3 ? [some(), some()] : [some()]
    const { sent, ...seen } = await playResend({ proxy, person, ledger, message: 'yes', rounds: plan })
    const answered = sent.every(({ events }) => lastOf({ events }).type === 'done')
    for (const { dedupe } of sent) dedupes.set(String(dedupe), (dedupes.get(String(dedupe)) ?? 0) + 1)
    const meant = plan.length
    const good =
      answered && seen.turns === meant && seen.userMessages === meant && seen.charges === meant && seen.held === 0n
    if (good) continue
    broken += 1
    print(
      `round ${round}: BROKEN ${JSON.stringify({ plan, statuses: sent.map((each) => each.statuses), seen: { ...seen, held: String(seen.held) } })}`,
    )
  }
  print(
    `${rounds} rounds, ${JSON.stringify(Object.fromEntries(dedupes))}, ledger faults ${(await ledger.faults()).length}`,
  )
  return broken === 0 && (await ledger.faults()).length === 0
}
