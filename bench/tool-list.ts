// What a list of 1,000 tools costs when it is filtered by the rules that a call meets, next to a control in the same run: a
// filter by one set look-up. And what 10,000 rules weigh in memory.
import { policySet } from '../domain/policy/combine.ts'
import type { Rule } from '../domain/policy/rule.ts'
import { shownTools, type KnownTool } from '../gateway/tool-offer.ts'
import { personWith, ruleOf } from '../test/gateway/fixture.ts'

const rounds = Number(process.argv[2] ?? 500)
const tools: KnownTool[] = Array.from({ length: 1_000 }, (_, n) => ({
  server: `server-${n % 20}`,
  name: `get_thing_${n}`,
  description: '',
  inputSchema: {},
  hints: {},
  effectClass: n % 10 === 0 ? 'destructive' : n % 3 === 0 ? 'write' : 'read',
}))
const viewer = {
  principal: personWith({ roles: ['owner'], scopes: ['mcp:read'], actorChain: [{ kind: 'agent', id: 'assistant' }] }),
  session: { id: 's', risk: 3 },
}
const few: Rule[] = [
  ruleOf('never', { kind: 'deny', hard: true }, { classes: ['destructive'] }),
  ruleOf('reads', { kind: 'allow' }, { actions: ['tool.list', 'tool.call'], classes: ['read'], owner: true }),
  ruleOf('writes', { kind: 'allow' }, { actions: ['tool.list'], classes: ['write'], actors: 'some', owner: true }),
]
const more = (count: number): Rule[] => [
  ...few,
  ...Array.from({ length: count }, (_, n) =>
    ruleOf(`r${n}`, { kind: 'deny', hard: false }, { tools: [{ server: `server-${n % 20}`, tool: `put_${n}` }] }),
  ),
]

function measure(name: string, work: () => unknown): number {
  for (let n = 0; n < 50; n += 1) work()
  const [startedAt, before] = [performance.now(), process.cpuUsage()]
  for (let n = 0; n < rounds; n += 1) work()
  const seconds = (performance.now() - startedAt) / 1_000
  const { user, system } = process.cpuUsage(before)
  const cpu = (user + system) / rounds / 1_000
  process.stdout.write(
    `${name.padEnd(44)} ${(rounds / seconds).toFixed(0).padStart(7)} lists/s  CPU ${cpu.toFixed(3)} ms\n`,
  )
  return rounds / seconds
}

const listed = new Set(tools.filter(({ effectClass }) => effectClass !== 'destructive'))
const heapNow = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
measure('control: one look-up each', () => tools.filter((tool) => listed.has(tool)))
for (const count of [0, 1_000, 10_000]) {
  const before = heapNow()
  const policy = policySet({ policyId: 'bench', version: 1, epoch: 1, rules: more(count) })
  if (shownTools(policy, viewer, tools).length !== listed.size) throw new Error('The bench lists what it should.')
  const megabytes = (heapNow() - before) / 1e6
  measure(`1,000 tools, ${few.length} rules that bear, ${count} others`, () => shownTools(policy, viewer, tools))
  if (count === 10_000) process.stdout.write(`10,000 rules and their index: ${megabytes.toFixed(1)} MB of heap\n`)
}
