// Transcripts at rest: what lies in the database opens with the keys of the installation only, in its own place only, and
// no more once its session is deleted.
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { transcriptSize, type SessionRow } from '../../db/chat-session.ts'
import { readSessionKeys } from '../../db/session-key.ts'
import { createTranscripts } from '../../gateway/transcripts.ts'
import { SessionDetail, SessionList } from '../../schemas/session.ts'
import { createDoorRig, type DoorRig, type Person } from '../support/door-rig.ts'
import { ringOf } from '../support/transcripts.ts'

let rig: DoorRig
let person: Person
beforeAll(async () => {
  rig = await createDoorRig()
  person = await rig.signIn()
})
afterAll(async () => rig[Symbol.asyncDispose]())

const master = randomBytes(32)
const transcriptsOf = (keys: readonly Uint8Array[]) => createTranscripts({ pool: rig.pool, ring: ringOf(keys) })
const path = (session: SessionRow) => `/agents/assistant/sessions/${session.id}`

async function dump(): Promise<string> {
  const tables = await rig.ledger.query(
    "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'",
  )
  const lines: string[] = []
  for (const { name } of tables)
    for (const { line } of await rig.ledger.query(`SELECT t::text AS line FROM ${String(name)} t`))
      lines.push(String(line))
  return lines.join('\n')
}

const formsOf = (text: string) => [
  text,
  Buffer.from(text).toString('hex'),
  Buffer.from(text).toString('base64').slice(0, 24),
  Buffer.from(text, 'utf16le').toString('hex'),
]

test('no word of a turn lies clear in any table', async () => {
  const session = await rig.openSession(person)
  const asked = `canary-${randomUUID()}`
  const said = `parrot-${randomUUID()}`
  const turn = await rig.post(person, session, { message: asked })
  await rig.answer(session, turn, [said])
  const bytes = await dump()
  for (const form of [...formsOf(asked), ...formsOf(said)]) expect(bytes).not.toContain(form)
  const detail = SessionDetail.parse(await (await person.call('GET', path(session))).json())
  expect(detail.messages.map(({ content }) => content)).toEqual([asked, said])
  expect(detail.preview).toBe(asked)
  const listed = SessionList.parse(await (await person.call('GET', '/wallet/sessions')).json())
  expect(listed.sessions.find(({ id }) => id === session.id)?.preview).toBe(asked)
  const [chunk] = await rig.bus.read(`turn:${turn.turnId}`, 0n, 1)
  expect(chunk?.body).toBe(said)
  expect((await transcriptSize(rig.pool, session.id)).bytes).toBeGreaterThan(asked.length + said.length)
})

test('a session of an older version is read as it was written, and goes on sealed', async () => {
  const session = await rig.openSession(person)
  const first = await rig.post(person, session, { message: 'sealed words' })
  await rig.database.pool.query(
    'UPDATE message SET content = $2, content_bytes = NULL, images = NULL WHERE turn_id = $1',
    [first.turnId, JSON.stringify([{ type: 'text', text: 'old words' }])],
  )
  await rig.database.pool.query("UPDATE chat_session SET preview = 'old words', sealed_preview = NULL WHERE id = $1", [
    session.id,
  ])
  const read = async () => (await person.call('GET', path(session))).json()
  expect(await read()).toMatchObject({ preview: 'old words', messages: [{ content: 'old words' }] })
  expect((await transcriptSize(rig.pool, session.id)).bytes).toBeGreaterThan(9)
  await rig.post(person, session, { message: 'new words' })
  expect(await read()).toMatchObject({
    preview: 'new words',
    messages: [{ content: 'old words' }, { content: 'new words' }],
  })
})

test('another transcript key is told by its code, wherever it is met', async () => {
  const session = await rig.openSession(person)
  const owner = transcriptsOf([master])
  await owner.ofSession(session.id)
  await expect(transcriptsOf([randomBytes(32)]).ofSession(session.id)).rejects.toMatchObject({
    code: 'transcript-locked',
  })
  await expect(transcriptsOf([]).ofSession(session.id)).rejects.toMatchObject({ code: 'transcript-locked' })
  const reply = await person.call('GET', path(session))
  expect([reply.status, await reply.json()]).toMatchObject([503, { code: 'TRANSCRIPT_LOCKED' }])
})

test('processes that begin a session together share one key', async () => {
  const session = await rig.openSession(person)
  const vaults = await Promise.all(Array.from({ length: 6 }, () => transcriptsOf([master]).ofSession(session.id)))
  const place = { turnId: randomUUID(), kind: 'user', step: 0, position: 0 } as const
  const { content } = vaults[0]!.sealMessage(place, [{ type: 'text', text: 'hello' }])
  for (const vault of vaults)
    expect(vault.openMessage({ ...place, content })).toEqual([{ type: 'text', text: 'hello' }])
})

test('content opens in its own place only', async () => {
  const [one, other] = [await rig.openSession(person), await rig.openSession(person)]
  const transcripts = transcriptsOf([master])
  const vault = await transcripts.ofSession(one.id)
  const place = { turnId: randomUUID(), kind: 'tool', step: 3, position: 1 } as const
  const { content } = vault.sealMessage(place, [{ type: 'text', text: 'hello' }])
  const moved = [
    { ...place, turnId: randomUUID() },
    { ...place, kind: 'user' as const },
    { ...place, step: 4 },
    { ...place, position: 0 },
  ]
  for (const elsewhere of moved) expect(() => vault.openMessage({ ...elsewhere, content })).toThrow('does not open')
  const stranger = await transcripts.ofSession(other.id)
  expect(() => stranger.openMessage({ ...place, content })).toThrow('does not open')
  const chunk = vault.sealChunk({ turnId: place.turnId, kind: 'delta' }, 'hello')
  expect(() => vault.openChunk({ turnId: place.turnId, kind: 'thinking' }, chunk)).toThrow('does not open')
  // A key that was copied to another session opens nothing there.
  const [row] = await readSessionKeys(rig.pool, [one.id])
  await rig.database.pool.query('UPDATE session_key SET wrapped = $2 WHERE session_id = $1', [other.id, row!.wrapped])
  await expect(transcriptsOf([master]).ofSession(other.id)).rejects.toMatchObject({ code: 'transcript-locked' })
})

test('the key goes with its session, and comes back for nobody', async () => {
  const session = await rig.openSession(person)
  const turn = await rig.post(person, session, { message: 'forget me' })
  await rig.answer(session, turn, ['gladly'])
  expect(await readSessionKeys(rig.pool, [session.id])).toHaveLength(1)
  expect((await person.call('DELETE', path(session))).status).toBe(200)
  expect(await readSessionKeys(rig.pool, [session.id])).toEqual([])
  for (const transcripts of [rig.transcripts, transcriptsOf([master])]) {
    await expect(transcripts.ofSession(session.id)).rejects.toMatchObject({ code: 'turn-cancelled' })
    await expect(transcripts.ofTurn(turn.turnId)).rejects.toMatchObject({ code: 'turn-cancelled' })
  }
  expect(await readSessionKeys(rig.pool, [session.id])).toEqual([])
})
