// Evidence in long form: 1,000 decisions a second from two processes on one chain, both or one of them killed at
// random moments, round after round; and a kill at each named point. Nothing answered is lost, no call lacks a record.
import { killAndJudge, killPoints, type KillOptions } from '../../test/support/evidence-kill.ts'
import { startOwnDatabase } from '../../test/support/own-postgres.ts'
import { random, type Proof } from './proof.ts'

const perSecond = 500 // of each of two processes
const seconds = 10
const faultsShown = 20

export const prove: Proof = async ({ seed, print, rounds = 5 }) => {
  await using database = await startOwnDatabase('evidence')
  let holds = true
  const judge = async (name: string, options: Omit<KillOptions, 'database'>) => {
    const { broken, ...seen } = await killAndJudge({ database, ...options })
    if (broken.length > 0) holds = false
    const verdict = broken.length === 0 ? 'holds' : `BROKEN\n  ${broken.slice(0, faultsShown).join('\n  ')}`
    print(`${name}: ${verdict} ${JSON.stringify(seen)}`)
  }
  const order = { perSecond, calls: perSecond * seconds }
  for (let round = 0; round < rounds; round += 1) {
    const next = random(seed + round)
    const moment = () => Math.floor(1_000 + next() * (seconds - 1) * 1_000)
    const [first, second, third] = [moment(), moment(), moment()]
    const name = `seed ${seed + round}: 1,000/s`
    await judge(`${name}, killed after ${first} and ${second} ms`, { ...order, processes: [first, second] })
    await judge(`${name}, one killed after ${third} ms, one goes on`, { ...order, processes: [third, null] })
  }
  for (const point of killPoints)
    await judge(`killed at ${point}`, { perSecond: 500, calls: 500, processes: [point, null] })
  return holds
}
