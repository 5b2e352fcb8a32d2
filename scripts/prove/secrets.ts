// Fifty words and keys planted in keys, prompts, answers, tools, errors and headers, over answers, refusals, a model that
// falls silent, cancels and killed workers: nothing of them is found in any file, history, metric or line.
import { openSecretsPlay } from '../../test/support/secrets-play.ts'
import { lastOf } from '../../test/support/person.ts'
import { random, type Proof } from './proof.ts'

const plantedMin = 50
const silentMs = 125_000 // longer than a model may take to begin

export const prove: Proof = async ({ seed, print }) => {
  const next = random(seed)
  await using play = await openSecretsPlay()
  const key = play.keys[0]?.value ?? ''
  const ends: string[] = []
  const forms = [
    (text: string) => text,
    (text: string) => Buffer.from(text).toString('base64'),
    (text: string) => Buffer.from(text).toString('hex'),
    encodeURIComponent,
  ]
  const spoken = () => `${play.plant('answer')} ${(forms[Math.floor(next() * forms.length)] ?? String)(key)} `
  const turn = async (message: string) => void ends.push(lastOf(await play.chat(message)).type)
  while (play.words.length < plantedMin) {
    await play.control({ say: spoken(), chunkMs: Math.floor(next() * 5) })
    await turn(play.plant('prompt'))
    await play.control({ say: { tool: 'everything__echo', input: { message: `${play.plant('tool')} ${key}` } } })
    await turn('repeat it')
    const status = [401, 400, 529][Math.floor(next() * 3)]
    await play.control({ fail: { times: 1, status, message: `${key} ${play.plant('error')}` }, say: spoken() })
    await turn(play.plant('prompt'))
    await play.control({ say: spoken().repeat(30), chunkMs: 15 })
    const killed = turn(play.plant('prompt'))
    await new Promise((resolve) => setTimeout(resolve, next() * 1_500))
    for (const pid of (await play.house.run()).pids.durable) process.kill(pid, 'SIGKILL')
    await killed
    const headers = { 'x-request-id': play.plant('header'), cookie: `a=${play.plant('cookie')}` }
    ends.push(lastOf(await play.chat(play.plant('prompt'), headers)).type)
  }
  await play.control({ hold: true })
  const silent = turn(play.plant('prompt'))
  await new Promise((resolve) => setTimeout(resolve, silentMs))
  await play.control({ say: spoken() })
  await silent
  const found = await play.search()
  for (const each of found) print(`FOUND ${each}`)
  const counts = [...new Set(ends)].map((end) => `${end} ${ends.filter((each) => each === end).length}`)
  print(`${play.words.length + play.keys.length} planted, turns: ${counts.join(', ')}, found ${found.length}`)
  return found.length === 0
}
