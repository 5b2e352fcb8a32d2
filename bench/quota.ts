// What a take of two meters costs: in memory, in Postgres, and against a bare round trip on the same pool, alternating.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../db/migrate.ts'
import { createPool } from '../db/pool.ts'
import { createPostgresQuota } from '../db/quota.ts'
import type { Take } from '../domain/quota.ts'
import { createMemoryQuota } from '../gateway/quota-memory.ts'
import { removePostgresHome } from '../workers/local/postgres-files.ts'
import { startPostgres } from '../workers/local/postgres.ts'

const rounds = Number(process.argv[2] ?? 4_000)
const stateDir = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'))
const server = await startPostgres({ stateDir })
await migrate(server.url)
const pool = createPool({ url: server.url, connectionsMax: 4 })
const [memory, postgres] = [createMemoryQuota(), createPostgresQuota(pool)]
const takesOf = (n: number): Take[] => [
  { key: `rate:${n % 1_000}`, meter: 'calls-per-second', limit: 1_000_000, burst: 1_000_000, amount: 1 },
  { key: `day:${n % 1_000}`, meter: 'calls-per-day', limit: 1_000_000, burst: 1_000_000, amount: 1 },
]
const variants: Readonly<Record<string, (n: number) => Promise<unknown>>> = {
  'control: SELECT 1': () => pool.query({ name: 'bench-one', text: 'SELECT 1' }),
  'memory, 2 meters': (n) => memory.take(takesOf(n)),
  'Postgres, 2 meters': (n) => postgres.take(takesOf(n)),
}
for (const pass of ['warm-up', 'measured']) {
  for (const [name, work] of Object.entries(variants)) {
    const taken = new Float64Array(rounds)
    const before = process.cpuUsage()
    for (let n = 0; n < rounds; n += 1) {
      const startedAt = performance.now()
      await work(n)
      taken[n] = performance.now() - startedAt
    }
    const { user, system } = process.cpuUsage(before)
    taken.sort()
    const at = (share: number) => `${(taken[Math.floor((rounds - 1) * share)] ?? Number.NaN).toFixed(3)} ms`
    if (pass === 'measured')
      process.stdout.write(
        `${name.padEnd(20)} p50 ${at(0.5)}  p99 ${at(0.99)}  CPU ${((user + system) / rounds / 1000).toFixed(3)} ms\n`,
      )
  }
}
await pool.end()
await server.stop()
await removePostgresHome(stateDir)
await rm(stateDir, { recursive: true, force: true })
