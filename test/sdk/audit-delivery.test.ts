// Evidence on its way to sinks that fail, cut off and answer oddly: nothing is left out, nothing is there twice.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openAuditKeys } from '../../crypto/portable/audit-keys.ts'
import type { ChainTools } from '../../crypto/portable/audit-chain.ts'
import type { DeliveryState } from '../../schemas/audit-delivery.ts'
import { deliver, type Delivery } from '../../sdk/audit-delivery.ts'
import { ocsfCollector, presignedStore } from '../../sdk/audit-sinks.ts'
import { createClient, type Client } from '../../sdk/client.ts'
import { asIntruder } from '../gateway/fixture.ts'
import { createEvidenceRig, type EvidenceRig, type Witness } from '../support/evidence-rig.ts'
import { startSinkDouble, type Misbehaviour, type SinkDouble } from '../support/sink-double.ts'

let rig: EvidenceRig
let owner: Witness
let client: Client
let tools: ChainTools
let sink: SinkDouble

beforeAll(async () => {
  rig = await createEvidenceRig()
  owner = await rig.join()
  await owner.act(7)
  client = createClient({ baseUrl: rig.api.url, token: owner.token })
  tools = await openAuditKeys(await client.audit.keys())
})
beforeEach(async () => {
  sink = await startSinkDouble()
})
afterEach(() => sink[Symbol.asyncDispose]())
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]()
})

type Kept = { state: DeliveryState | undefined }

const facts = () => ({ fetch, url: `${sink.url}/upload-url`, sha256: tools.sha256, waitMs: 1 })

function deliveryTo(kept: Kept, more: Partial<Delivery> = {}): Delivery {
  return {
    source: (after, to) => client.audit.export({ after, to }),
    tools,
    state: {
      read: async () => kept.state,
      write: async (state) => void (kept.state = structuredClone(state)),
    },
    ...{ sink: 'the sink', form: 'original', recordsMax: 3 },
    send: presignedStore(facts()),
    ...more,
  }
}

const seqsOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .slice(1, -1)
    .map((line) => (JSON.parse(line) as { seq: number }).seq)

const stored = () => [...sink.files.values()].flatMap(seqsOf).toSorted((a, b) => a - b)
const sent = () =>
  [...sink.events.values()].flat().map((event) => (event as { metadata: { sequence: number } }).metadata.sequence)

test('a sink gets what it does not have yet, part by part, and nothing when it has all', async () => {
  const kept: Kept = { state: undefined }
  const person = await rig.join()
  const theirs = createClient({ baseUrl: rig.api.url, token: person.token })
  const source: Delivery['source'] = (after, to) => theirs.audit.export({ after, to })
  expect(await deliver(deliveryTo(kept, { source }))).toEqual({ records: 0, parts: 0, seq: 0 })
  await person.act(4)
  expect(await deliver(deliveryTo(kept, { source }))).toEqual({ records: 4, parts: 2, seq: 4 })
  expect(await deliver(deliveryTo(kept, { source }))).toEqual({ records: 0, parts: 0, seq: 4 })
  await person.act(1)
  expect(await deliver(deliveryTo(kept, { source }))).toEqual({ records: 1, parts: 1, seq: 5 })
  expect(stored()).toEqual([1, 2, 3, 4, 5])
  expect([...sink.files.keys()].every((name) => name.startsWith(`${person.principal.wallet}/`))).toBe(true)
})

const passing: readonly (readonly ['ask' | 'put', readonly Misbehaviour[]])[] = [
  ['ask', [503, 503]],
  ['ask', ['hang-up', 429]],
  ['put', [503]],
  ['put', [403, 500]],
  ['put', ['hang-up', 'cut-before']],
  ['put', ['cut-after']],
]
test.each(passing)('%s that answers %j is tried again', async (kind, ways) => {
  sink.next(kind, ...ways)
  await deliver(deliveryTo({ state: undefined }, { recordsMax: 10 }))
  expect(stored()).toEqual([1, 2, 3, 4, 5, 6, 7])
})

test('each try asks for a place of its own: the old one may have expired', async () => {
  sink.next('put', 403, 403)
  await deliver(deliveryTo({ state: undefined }, { recordsMax: 10 }))
  expect(sink.requests.map(({ method }) => method)).toEqual(['POST', 'PUT', 'POST', 'PUT', 'POST', 'PUT'])
})

test('a name that is taken holds these records already', async () => {
  sink.next('put', 412)
  const kept: Kept = { state: undefined }
  expect(await deliver(deliveryTo(kept, { recordsMax: 10 }))).toEqual({ records: 7, parts: 1, seq: 7 })
  expect(kept.state).toMatchObject({ seq: 7, pending: null })
})

const final: readonly (readonly ['ask' | 'put', number, readonly Misbehaviour[]])[] = [
  ['ask', 3, [503, 503, 503]],
  ['ask', 1, [401]],
  ['ask', 1, ['garbage']],
  ['ask', 1, ['redirect']],
  ['put', 1, ['redirect']],
  ['put', 1, [400]],
  ['put', 3, [503, 'cut-before', 500]],
]
test.each(final)(
  '%s ends after %i requests with %j: the run fails, the next one goes on',
  async (kind, tries, ways) => {
    const kept: Kept = { state: undefined }
    sink.next(kind, ...ways)
    await expect(deliver(deliveryTo(kept))).rejects.toMatchObject({ name: 'GatehouseError' })
    expect(sink.requests.filter(({ path }) => (path === '/upload-url') === (kind === 'ask'))).toHaveLength(tries)
    expect(sink.requests.map(({ path }) => path)).not.toContain('/elsewhere')
    expect(kept.state).toMatchObject({ seq: 0, pending: { to: 3 } })
    await deliver(deliveryTo(kept))
    expect(stored()).toEqual([1, 2, 3, 4, 5, 6, 7])
  },
)

test.each(['original', 'ocsf'] as const)('a run that is ended anywhere is taken up: %s', async (form) => {
  // Every step of a whole delivery fails once: before it takes effect, and after.
  for (let at = 0; at < 14; at += 1)
    for (const when of ['before', 'after'] as const) {
      ;[sink.files, sink.events].forEach((each) => each.clear())
      const kept: Kept = { state: undefined }
      let steps = 0
      const dying = async (work: () => Promise<void>) => {
        const dies = steps++ === at
        if (dies && when === 'before') throw new Error('killed')
        await work()
        if (dies) throw new Error('killed')
      }
      const send = form === 'ocsf' ? ocsfCollector({ ...facts(), url: `${sink.url}/events` }) : presignedStore(facts())
      const base = deliveryTo(kept, { form })
      const delivery: Delivery = {
        ...base,
        state: { ...base.state, write: (state) => dying(() => base.state.write(state)) },
        send: (part) => dying(() => send(part)),
      }
      expect(['whole', 'Error: killed']).toContain(await deliver(delivery).then(() => 'whole', String))
      await deliver(delivery)
      expect(form === 'ocsf' ? sent() : stored()).toEqual([1, 2, 3, 4, 5, 6, 7])
    }
})

test('a chain that grew while a part was in doubt is cut where it was cut', async () => {
  const person = await rig.join()
  await person.act(2)
  const theirs = createClient({ baseUrl: rig.api.url, token: person.token })
  const source: Delivery['source'] = (after, to) => theirs.audit.export({ after, to })
  const kept: Kept = { state: undefined }
  sink.next('put', 'cut-after', 503, 503)
  await expect(deliver(deliveryTo(kept, { source }))).rejects.toThrow(/answered 503/)
  await person.act(2)
  await deliver(deliveryTo(kept, { source }))
  expect([...sink.files.values()].map(seqsOf)).toEqual([
    [1, 2],
    [3, 4],
  ])
})

test('evidence that does not stand is not passed on, and nothing after it', async () => {
  const person = await rig.join()
  await person.act(5)
  const theirs = createClient({ baseUrl: rig.api.url, token: person.token })
  const source: Delivery['source'] = (after, to) => theirs.audit.export({ after, to })
  const kept: Kept = { state: undefined }
  const touch = `UPDATE audit_record SET body = replace(body, '"retries":0', '"retries":9') WHERE tenant = $1 AND seq = 5`
  await asIntruder(rig.api.database, touch, [person.principal.tenant])
  await expect(deliver(deliveryTo(kept, { source }))).rejects.toMatchObject({ code: 'broken' })
  expect(stored()).toEqual([1, 2, 3])
  // Another history than the one that was sent.
  const forged = { ...(kept.state as DeliveryState), sha256: 'f'.repeat(64) }
  await expect(deliver(deliveryTo({ state: forged }, { source }))).rejects.toThrow(/broken at record 4/)
  await expect(deliver(deliveryTo(kept, { source, sink: 'another' }))).rejects.toMatchObject({ code: 'other-sink' })
})

test('a presigned place gets no token, and none but a fitting address gets anything', async () => {
  await deliver(deliveryTo({ state: undefined }, { send: presignedStore({ ...facts(), token: 'secret' }) }))
  for (const { path, authorization } of sink.requests)
    expect(authorization).toBe(path === '/upload-url' ? 'Bearer secret' : undefined)
  const before = sink.requests.length
  for (const url of [
    'http://store.example/a',
    'https://a:b@store.example/',
    'ftp://127.0.0.1/',
    'http://169.254.169.254/x',
  ]) {
    sink.place = () => ({ url })
    await expect(deliver(deliveryTo({ state: undefined }))).rejects.toMatchObject({ code: 'SINK_ADDRESS' })
    expect(() => presignedStore({ ...facts(), url })).toThrow(/Nothing is sent there/)
  }
  sink.place = () => ({ url: `${sink.url}/files/x`, headers: { authorization: 'Bearer mine' } })
  await expect(deliver(deliveryTo({ state: undefined }))).rejects.toMatchObject({ code: 'SINK_REFUSED' })
  expect(sink.requests.slice(before).every(({ path }) => path === '/upload-url')).toBe(true)
})

test('a refusal names the party, and keeps the secrets of its address', async () => {
  sink.next('put', 400)
  const error: unknown = await deliver(deliveryTo({ state: undefined })).catch((thrown: unknown) => thrown)
  expect(String(error)).toMatch(/^GatehouseError: http:\/\/127\.0\.0\.1:\d+ answered 400\.$/)
})

test('the collector gets each record once as an OCSF event, redacted if so ordered', async () => {
  const send = ocsfCollector({ ...facts(), url: `${sink.url}/events`, token: 'secret' })
  sink.next('events', 503, 'cut-after')
  const source: Delivery['source'] = (after, to) => client.audit.export({ after, to, redact: true })
  await deliver(deliveryTo({ state: undefined }, { source, send, form: 'ocsf-redacted' }))
  expect(sent()).toEqual([1, 2, 3, 4, 5, 6, 7])
  expect(JSON.stringify([...sink.events.values()])).not.toContain(owner.principal.wallet)
})
