// Records as OCSF events: the attributes that the class requires, for every ending and every sparse record.
import { expect, test } from 'vitest'
import { ocsfEvent } from '../../domain/ocsf.ts'
import { sinkFault } from '../../domain/sink-address.ts'

const record = {
  id: '0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f',
  seq: 7,
  ts: '2026-01-31T12:00:00.250Z',
  schema_version: 2,
  tenant: 'acme',
  sub: '0xabc',
  usid: 'session-1',
  act: [{ kind: 'agent', id: 'assistant' }],
  action: 'tool.call',
  node_type: 'tool',
  resource: 'mail/send',
  server: 'mail',
  tool: 'send',
  origin: 'chat',
  status: 'ok',
  error_code: null,
  latency_ms: 12,
  trace_id: 'trace-1',
  idempotency_key: 'key-1',
  gateway: { name: 'gatehouse', version: '0.1.0' },
  policy: { decision: 'allow', policy_id: 'default', rationale: 'People use their own tools.' },
  input_sha256: 'a'.repeat(64),
  output_sha256: null,
}

test('a record is an API Activity with everything the class requires', () => {
  expect(ocsfEvent(record, 'b'.repeat(64))).toEqual({
    ...{ category_uid: 6, class_uid: 6003, type_uid: 600_399, activity_id: 99, activity_name: 'tool.call' },
    ...{ severity_id: 1, status: 'ok', status_id: 1, status_detail: 'People use their own tools.' },
    ...{ time: Date.parse(record.ts), duration: 12 },
    metadata: {
      ...{ version: '1.6.0', uid: record.id, sequence: 7, tenant_uid: 'acme', correlation_uid: 'trace-1' },
      ...{ log_name: 'audit', log_version: '2', original_time: record.ts },
      product: { name: 'Gatehouse', vendor_name: 'Gatehouse', version: '0.1.0' },
    },
    actor: { user: { uid: '0xabc' }, session: { uid: 'session-1' }, app_uid: 'assistant' },
    api: { operation: 'tool.call', service: { name: 'mail' }, request: { uid: 'key-1' } },
    src_endpoint: { name: 'chat' },
    resources: [{ name: 'mail/send', type: 'tool' }],
    unmapped: {
      ...{ tool: 'send', act: record.act, input_sha256: record.input_sha256, sha256: 'b'.repeat(64) },
      policy: record.policy,
    },
  })
})

test.each([
  ['session.create', 1],
  ['session.read', 2],
  ['wallet:update', 3],
  ['session.delete', 4],
  ['chat', 99],
  ['created', 99],
])('the action %s is activity %i', (action, activity) => {
  expect(ocsfEvent({ ...record, action }, '')).toMatchObject({ activity_id: activity, type_uid: 600_300 + activity })
})

test.each([
  ['admitted', 1, 1],
  ['error', 2, 2],
  ['denied', 2, 2],
  ['refused', 2, 2],
  ['unknown', 0, 1],
  ['held', 99, 1],
])('the ending %s has status %i and severity %i', (status, id, severity) => {
  expect(ocsfEvent({ ...record, status }, '')).toMatchObject({ status, status_id: id, severity_id: severity })
})

test('a record of an unknown form is an event all the same', () => {
  expect(ocsfEvent({}, '')).toMatchObject({ class_uid: 6003, status_id: 0, api: { operation: 'unknown' } })
})

test.each([
  ['https://store.example/upload?x=1', undefined, true],
  ['http://127.0.0.1:9/x', undefined, true],
  ['http://localhost/x', undefined, true],
  ['http://[::1]:9/x', 'http://127.0.0.1/', true],
  ['https://127.0.0.1/x', 'https://store.example/', false],
  ['http://localhost/x', 'https://store.example/', false],
  ['http://store.example/x', undefined, false],
  ['http://127.0.0.1.example/x', undefined, false],
  ['http://2130706434/x', 'https://store.example/', false],
  ['https://0.0.0.0/x', undefined, false],
  ['https://169.254.169.254/latest', undefined, false],
  ['https://[fe80::1]/x', undefined, false],
  ['https://[::ffff:169.254.169.254]/x', undefined, false],
  ['https://user:word@store.example/', undefined, false],
  ['file:///etc/passwd', undefined, false],
  ['store.example', undefined, false],
])('evidence goes to %s, named by %s: %s', (address, askedAt, fine) => {
  expect(sinkFault(address, askedAt) === null).toBe(fine)
})
