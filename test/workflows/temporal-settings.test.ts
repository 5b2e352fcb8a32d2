// temporal.yaml is applied to a cluster that exists: what is missing is made, what is there is left, what differs is said.
import { Connection } from '@temporalio/client'
import { temporal as proto } from '@temporalio/proto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestTemporal, type TestTemporal } from '../support/temporal-server.ts'
import { applyTemporalSettings } from '../../workers/temporal-settings.ts'

let temporal: TestTemporal
let connection: Connection

beforeAll(async () => {
  temporal = await startTestTemporal()
  connection = await Connection.connect({ address: temporal.address })
}, 600_000)
afterAll(async () => {
  await connection.close()
  await temporal[Symbol.asyncDispose]()
})

const settings = {
  namespace: { name: 'unused', retention: '7d' },
  searchAttributes: { WalletId: 'Keyword', RevocationScope: 'KeywordList' },
} as const
const apply = (namespace: string, changed: object = {}) =>
  applyTemporalSettings({ address: temporal.address, namespace, settings: { ...settings, ...changed } })

test('an attribute that is there with another type is refused, and nothing is made', async () => {
  await apply('typed', { searchAttributes: { WalletId: 'Int' } })
  await expect(apply('typed')).rejects.toThrow(
    'Search attribute WalletId of namespace typed exists and is not a Keyword',
  )
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'typed' })
  expect(customAttributes).not.toHaveProperty('RevocationScope')
})

test('a cluster that is not there is an error', async () => {
  await expect(
    applyTemporalSettings({ address: '127.0.0.1:1', namespace: 'x', settings, connectMs: 300 }),
  ).rejects.toThrow(/connect/i)
})

test('namespace, retention and attributes are made once; a second run changes nothing', async () => {
  expect(await apply('fresh')).toEqual([
    'namespace fresh',
    'retention of namespace fresh: 7d',
    'search attributes WalletId=Keyword RevocationScope=KeywordList',
  ])
  expect(await apply('fresh')).toEqual([])
  const { config } = await connection.workflowService.describeNamespace({ namespace: 'fresh' })
  expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(7 * 86_400)
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'fresh' })
  const { IndexedValueType } = proto.api.enums.v1
  expect(customAttributes).toMatchObject({
    WalletId: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    RevocationScope: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
  })
})

test('what was added to the file later is added to the cluster, and nothing is removed', async () => {
  await apply('grown', { searchAttributes: { TenantId: 'Keyword' } })
  expect(await apply('grown', { namespace: { name: 'unused', retention: '14d' } })).toEqual([
    'retention of namespace grown: 14d',
    'search attributes WalletId=Keyword RevocationScope=KeywordList',
  ])
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'grown' })
  expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(['TenantId', 'WalletId', 'RevocationScope']))
})

test('schedules are made once, changed when their line is, and never overlap', async () => {
  const schedules = (cron: string) => ({
    schedules: { 'ledger-audit': { workflow: 'ledgerAudit', cron, catchup: '6h' } },
  })
  expect(await apply('planned', schedules('17 3 * * *'))).toContain('schedule ledger-audit: 17 3 * * *')
  expect(await apply('planned', schedules('17 3 * * *'))).toEqual([])
  expect(await apply('planned', schedules('18 3 * * *'))).toEqual(['schedule ledger-audit: 18 3 * * *'])
  const { schedule } = await connection.workflowService.describeSchedule({
    namespace: 'planned',
    scheduleId: 'ledger-audit',
  })
  expect(schedule?.policies?.overlapPolicy).toBe(1)
  expect(Number(schedule?.policies?.catchupWindow?.seconds)).toBe(6 * 3_600)
})

test('two that start at once both succeed', async () => {
  const changes = await Promise.all([apply('raced'), apply('raced')])
  expect(changes.flat()).toContain('namespace raced')
  expect(await apply('raced')).toEqual([])
})
