import { expect, test } from 'vitest'
import { createEvents } from '../../telemetry/events.ts'
import { createRedactor } from '../../domain/redaction.ts'
import { createLogger } from '../../telemetry/log.ts'
import { createMetrics } from '../../telemetry/metrics.ts'

function recorder(level = 'info') {
  const lines: string[] = []
  return { lines, log: createLogger({ level, name: 'test', destination: { write: (line) => void lines.push(line) } }) }
}

test('credentials in logged objects are redacted at the top and two levels down', () => {
  const { lines, log } = recorder()
  log.info({ token: 'planted-1', request: { headers: { authorization: 'planted-2', cookie: 'planted-3' } } }, 'x')
  log.info({ config: { apiKey: 'planted-4', masterKey: 'planted-5' } }, 'x')
  expect(lines.join('')).not.toContain('planted')
  expect(lines.join('')).toContain('[redacted]')
})

test('an error keeps its message and code while the cause loses everything but its name and message', () => {
  const { lines, log } = recorder()
  const cause = Object.assign(new Error('socket'), { headers: { authorization: 'planted' } })
  log.error({ err: new Error('outer', { cause }) }, 'failed')
  expect(lines[0]).toContain('outer')
  expect(lines[0]).not.toContain('planted')
})

test.each([
  ['deep inside', { a: { b: { c: { d: { token: 'planted' } } } } }],
  ['in a list', { calls: [{ request: { headers: [{ authorization: 'planted' }] } }] }],
  ['with capitals', { headers: { Authorization: 'planted', 'X-Api-Key': 'planted', COOKIE: 'planted' } }],
  ['under a longer name', { accessToken: 'planted', refresh_token: 'planted', clientSecret: 'planted' }],
  ['of a wallet', { credential: { private_key: 'planted', seedPhrase: 'planted', mnemonic: 'planted' } }],
])('a credential %s is redacted', (_where, fact) => {
  const { lines, log } = recorder()
  log.info(fact, 'x')
  log.child(fact).info('y')
  expect(lines).toHaveLength(2)
  for (const line of lines) {
    expect(line).not.toContain('planted')
    expect(line).toContain('[redacted]')
  }
})

const planted = [
  ['a bearer header', 'Headers.append: "Bearer planted-0123456789" is an invalid header value.'],
  ['a vendor key', 'sk-ant-api03-planted0123456789 is not valid'],
  ['a wallet token', 'mcpwt_planted0123456789 expired'],
  ['a session token', 'eyJhbGciOiJFUzI1NiJ9.eyJwbGFudGVkIjoxfQplanted.planted0123'],
  ['a database address', 'connect to postgres://owner:planted@127.0.0.1:5432/house failed'],
  ['a private key', `0x${'ab12'.repeat(16)} planted`.replace(' planted', '')],
] as const

test.each(planted)('%s in the text of an error or its cause is redacted', (_what, text) => {
  const { lines, log } = recorder()
  log.error({ err: new Error(text), reason: text, list: [text] }, 'failed')
  log.error({ err: new Error('outer', { cause: new Error(text) }) }, text)
  for (const line of lines) {
    expect(line).not.toMatch(/planted|(?:ab12){16}/)
    expect(line).toContain('[redacted]')
  }
})

test('ids, digests and plain words stay as they are', () => {
  const { lines, log } = recorder()
  const fact = { traceId: 'a'.repeat(32), wallet: `0x${'a'.repeat(40)}`, tokens: { inputTokens: 12 }, tokenId: 'abc' }
  log.info({ ...fact, seq: 9n.toString(), at: new Date(0), none: null, digest: 'b'.repeat(64) }, 'task-key risk-free')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    ...fact,
    at: '1970-01-01T00:00:00.000Z',
    none: null,
    digest: 'b'.repeat(64),
    msg: 'task-key risk-free',
  })
})

test('what refers to itself is cut, and the line is written', () => {
  const { lines, log } = recorder()
  const loop: Record<string, unknown> = { name: 'loop' }
  loop['self'] = loop
  log.info({ loop }, 'x')
  expect(lines).toHaveLength(1)
})

test('an event writes its line and moves its counter', () => {
  const { lines, log } = recorder()
  const metrics = createMetrics()
  const events = createEvents(log, metrics)
  events.turnOpened({ turnId: 't', try: 1, dedupe: 'new' })
  events.chargePosted({ kind: 'model', micros: 2800n, turnId: 't' })
  expect(lines).toHaveLength(2)
  expect(metrics.text()).toContain('gatehouse_turns_opened_total{dedupe="new"} 1')
  expect(metrics.text()).toContain('gatehouse_charged_micros_total{kind="model"} 2800')
})

test('histograms are cumulative and end with +Inf, sum and count', () => {
  const metrics = createMetrics()
  metrics.observe('decision', 0.003, { action: 'tool.call' })
  metrics.observe('decision', 2, { action: 'tool.call' })
  const text = metrics.text()
  expect(text).toContain('gatehouse_decision_seconds_bucket{action="tool.call",le="0.005"} 1')
  expect(text).toContain('gatehouse_decision_seconds_bucket{action="tool.call",le="+Inf"} 2')
  expect(text).toContain('gatehouse_decision_seconds_count{action="tool.call"} 2')
})

test('known secrets are in no line, however they got there', () => {
  const lines: string[] = []
  const redactor = createRedactor([{ name: 'KEY', value: 'plain words/"of a key"' }])
  const destination = { write: (line: string) => void lines.push(line) }
  const log = createLogger({ level: 'info', name: 'test', destination, redactor })
  log.info({ told: 'it is plain words/"of a key".' }, 'and plain words/"of a key"')
  log.child({ room: 'plain words/"of a key"' }).error({ err: new Error('plain words/"of a key"') }, 'failed')
  expect(lines.join('')).not.toContain('plain words')
  for (const line of lines) expect(JSON.stringify(JSON.parse(line))).toContain('[REDACTED:KEY]')
})
