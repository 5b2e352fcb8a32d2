// `npm run prove -- <name> [--rounds N] [--seed S]`: the long form of an acceptance check. Prints seed, figures, verdict.
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Proof } from './prove/proof.ts'

const folder = fileURLToPath(new URL('./prove/', import.meta.url))
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.ts') && name !== 'proof.ts')
  .map((name) => name.replace(/\.ts$/, ''))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' }, seed: { type: 'string' } },
})
const [name = ''] = positionals
if (!names.includes(name)) {
  process.stderr.write(`Name one of: ${names.join(', ')}\n`)
  process.exitCode = 2
} else {
  const { prove } = (await import(`./prove/${name}.ts`)) as { prove: Proof }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
  const print = (line: string) => void process.stdout.write(`${line}\n`)
  print(`${name}: seed ${seed}`)
  const holds = await prove({ seed, print, ...(values.rounds === undefined ? {} : { rounds: Number(values.rounds) }) })
  print(holds ? 'verdict: holds' : 'verdict: BROKEN')
  process.exitCode = holds ? 0 : 1
}
