// Redaction: closed for whatever nobody has decided about, the same pseudonym for the same value, none that lasts.
import { expect, test } from 'vitest'
import { createRedaction } from '../../gateway/audit-redact.ts'
import { AuditRecord } from '../../schemas/audit.ts'

const hidden = [
  ...['usid', 'wsid', 'asid', 'msid', 'sub', 'wallet_id', 'aan', 'spiffe_id', 'idempotency_key'],
  ...['agentVariables', 'allowlist_match'],
]

test('every member of a record is decided about', () => {
  const record = Object.fromEntries(Object.keys(AuditRecord.shape).map((name) => [name, `secret of ${name}`]))
  const redacted = createRedaction().record(record)
  expect(redacted).not.toHaveProperty('sig')
  const replaced = Object.entries(redacted).filter(([, value]) => /^anon-[0-9a-f]{20}$/.test(String(value)))
  expect(replaced.map(([name]) => name).toSorted()).toEqual(hidden.toSorted())
})

// Hexadecimal, so that it may hold any digits by chance.
const withoutPseudonyms = (text: string) => text.replaceAll(/anon-[0-9a-f]{20}/g, 'anon')

test('what is unknown is closed, at every depth, numbers too', () => {
  const redacted = createRedaction().record({
    email: 'a@b.example',
    age: 44,
    policy: { decision: 'deny', approver: 'Ada' },
    proof: { kind: 'dpop', htm: 'POST', jti: 'j', thumbprint: 't', htu: 'https://x/', nonce: null },
    gateway: { name: 'gatehouse', owner: { name: 'Ada' } },
  })
  expect(withoutPseudonyms(JSON.stringify(redacted))).not.toMatch(/Ada|b\.example|44|"j"|"t"|https/)
  expect(redacted).toMatchObject({
    policy: { decision: 'deny' },
    proof: { kind: 'dpop', htm: 'POST', nonce: null },
    gateway: { name: 'gatehouse' },
  })
})

test('addresses go from any text, agents stay, workloads go', () => {
  const wallet = `0x${'aB'.repeat(20)}`
  const redaction = createRedaction()
  const redacted = redaction.record({
    sub: wallet.toLowerCase(),
    tenant: wallet,
    resource: `vault/${wallet}/key`,
    policy: { rationale: `${wallet} and ada@mill.example may not.`, rules: [`only-${wallet}`] },
    act: [
      { kind: 'agent', id: 'assistant' },
      { kind: 'workload', id: 'spiffe://mill/ada' },
    ],
    spiffe_id: 'spiffe://mill/ada',
  })
  const text = JSON.stringify(redacted).toLowerCase()
  expect(withoutPseudonyms(text)).not.toMatch(/abab|ada/)
  expect(redacted['tenant']).toBe(redacted['sub']) // one person, however the address is written
  expect(redacted['resource']).toBe(`vault/${String(redacted['sub'])}/key`)
  expect(redacted['act']).toEqual([
    { kind: 'agent', id: 'assistant' },
    { kind: 'workload', id: redacted['spiffe_id'] },
  ])
  expect(redaction.tenant('acme')).toBe('acme')
  expect(createRedaction().record({ sub: wallet })['sub']).not.toBe(redacted['sub'])
})

test('names of members that callers chose are hidden with what they hold, each the same as elsewhere', () => {
  const redacted = createRedaction().record({
    sub: 'Ada',
    agentVariables: { Ada: '1', 'ada@mill.example': { Ada: '2' } },
  })
  expect(withoutPseudonyms(JSON.stringify(redacted))).not.toMatch(/ada/i)
  expect(Object.keys(redacted['agentVariables'] as object)[0]).toBe(redacted['sub'])
})

test.each(['jörg@mühle.example', 'Ада@мельница.рф', "o'hara@mill.example", 'ada@localhost', 'x!y@mill.example'])(
  'the address %s goes whole',
  (address) => {
    const { rationale } = createRedaction().record({ rationale: `for ${address}, no` })
    expect(rationale).toMatch(/^for anon-[0-9a-f]{20}, no$/)
  },
)

test('a long text costs its length', () => {
  const startedAt = performance.now()
  const resource = 'a'.repeat(300_000)
  expect(createRedaction().record({ resource })).toEqual({ resource })
  expect(performance.now() - startedAt).toBeLessThan(2_000)
})
