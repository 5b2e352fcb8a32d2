// What a decision costs with 1 to 10,000 rules that speak of other tools, of the same tool by condition, or of other
// tenants; a control of the same shape runs in the same loop, alternating: one map look-up and one comparison.
import { compileCondition } from '../gateway/expression/compile.ts'
import { decide, policySet } from '../domain/policy/combine.ts'
import type { Question, Rule, RuleMatch } from '../domain/policy/rule.ts'
import { personWith, ruleOf } from '../test/gateway/fixture.ts'

const rounds = Number(process.argv[2] ?? 20_000)
const quantile = (values: Float64Array, share: number) => values[Math.floor((values.length - 1) * share)] ?? Number.NaN
const us = (ms: number) => `${(ms * 1_000).toFixed(1)} µs`

const principal = personWith({ roles: ['owner'], scopes: ['mcp:read'] })
const question = (): Question => ({
  principal,
  session: { id: 's', risk: 3 },
  action: 'tool.call',
  resource: { kind: 'tool', name: 'notes/get_note', effectClass: 'read', owner: principal.wallet },
  facts: { phase: 'call', arguments: { path: '/srv/notes/1', amount: 12, tags: ['a', 'b'] } },
})

const condition = (text: string) => {
  const compiled = compileCondition(text, ['call'])
  if ('faults' in compiled) throw new Error(compiled.faults.join('\n'))
  return compiled.condition
}

const allow = { ...ruleOf('allow', { kind: 'allow' }, { tools: [{ server: 'notes', tool: 'get_*' }] }) }
const argument = {
  ...ruleOf('argument', { kind: 'deny', hard: false }, { tools: [{ server: 'notes', tool: '*' }] }),
  phases: ['call'] as const,
  when: condition('!args.path.startsWith("/srv/") || args.amount > 100'),
}
const others: Readonly<Record<string, (n: number) => RuleMatch>> = {
  'other tools': (n) => ({ tools: [{ server: `server-${n}`, tool: '*' }] }),
  'other tenants': (n) => ({ tenants: [`tenant-${n}`] }),
  'other roles': (n) => ({ roles: [`role-${n}`] }),
  'other patterns': (n) => ({ tools: [{ server: '*', tool: `tool_${n}*` }] }),
}

function measure(work: () => void): { p50: number; p99: number; cpuUs: number } {
  for (let n = 0; n < 2_000; n += 1) work()
  const taken = new Float64Array(rounds)
  const before = process.cpuUsage()
  for (let n = 0; n < rounds; n += 1) {
    const startedAt = performance.now()
    work()
    taken[n] = performance.now() - startedAt
  }
  const { user, system } = process.cpuUsage(before)
  taken.sort()
  return { p50: quantile(taken, 0.5), p99: quantile(taken, 0.99), cpuUs: (user + system) / rounds }
}

const control = new Map([['tool:notes/get_note', true]])
const floor = measure(() => void (control.get(`${question().resource.kind}:${question().resource.name}`) === true))
const say = (name: string, { p50, p99, cpuUs }: ReturnType<typeof measure>) =>
  process.stdout.write(
    `${name.padEnd(34)} p50 ${us(p50).padStart(10)}  p99 ${us(p99).padStart(10)}  CPU ${cpuUs.toFixed(1).padStart(6)} µs  ${(p50 / floor.p50).toFixed(0)} × control\n`,
  )
say('control', floor)
for (const [name, match] of Object.entries(others)) {
  for (const count of [1, 100, 1_000, 10_000]) {
    const more: Rule[] = Array.from({ length: count }, (_, n) =>
      ruleOf(`r${n}`, { kind: 'deny', hard: false }, match(n)),
    )
    const heapBefore = process.memoryUsage().heapUsed
    const policy = policySet({ policyId: 'bench', version: 1, epoch: 1, rules: [allow, argument, ...more] })
    const heap = (process.memoryUsage().heapUsed - heapBefore) / 1e6
    if (decide(policy, question()).kind !== 'allow') throw new Error('The bench asks what is allowed.')
    say(
      `${count} rules of ${name}`,
      measure(() => void decide(policy, question())),
    )
    if (count === 10_000) process.stdout.write(`${''.padEnd(34)} index of 10,000 rules ${heap.toFixed(1)} MB\n`)
  }
}
