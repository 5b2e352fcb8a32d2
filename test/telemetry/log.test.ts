import { expect, test } from 'vitest'
import { createEvents } from '../../telemetry/events.ts'
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
