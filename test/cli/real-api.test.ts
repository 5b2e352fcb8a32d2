// Commands against the real API on a real database: what the double of the other suites only plays.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApi, type TestApi } from '../support/api.ts'
import { signedInDesk, type Desk } from '../support/cli.ts'

let api: TestApi
let desk: Desk
let stranger: Desk

beforeAll(async () => {
  api = await startTestApi()
  desk = signedInDesk(api.url, await api.tokenOf(api.newWallet()))
  stranger = signedInDesk(api.url, await api.tokenOf(api.newWallet()))
})
afterAll(() => api?.[Symbol.asyncDispose]())

const write = (name: string, definition: object) => desk.files.set(`/here/${name}`, JSON.stringify(definition))

test('an agent of one’s own is made, shown, changed and forgotten, and is nobody else’s', async () => {
  write('clerk.json', { id: 'clerk', name: 'Clerk', systemPrompt: 'Be brief.' })
  const made = await desk.run(['agents', 'create', 'clerk.json', '--json'])
  expect(made.code).toBe(0)
  const { agentId } = JSON.parse(made.out) as { agentId: string }
  expect(agentId).toMatch(/^clerk-[0-9a-f]{6}$/)
  write('clerk.json', { id: agentId, name: 'Clerk', title: 'The clerk', systemPrompt: 'Be kind.' })
  expect(await desk.run(['agents', 'update', 'clerk.json'])).toMatchObject({ code: 0, err: '' })
  const shown = await desk.run(['agents', 'show', agentId])
  expect(shown.out).toContain('The clerk\n')
  expect(shown.out).toMatch(/version +2\n/)
  expect(shown.out).toContain('Be kind.')
  expect((await desk.run(['agents', 'own'])).out).toContain(agentId)
  expect((await stranger.run(['agents', 'show', agentId])).code).toBe(5)
  expect((await stranger.run(['chat', agentId, 'hi'])).code).toBe(5)
  expect((await desk.run(['agents', 'delete', agentId])).code).toBe(0)
  expect((await desk.run(['agents', 'show', agentId])).code).toBe(5)
})

test('a session is opened, listed, shown, resumed and deleted, and is nobody else’s', async () => {
  const { out } = await desk.run(['chat', '--json'])
  const { id } = (JSON.parse(out) as { data: { id: string } }).data
  expect((await desk.run(['sessions'])).out).toContain(id)
  expect((await desk.run(['sessions', 'show', id])).out).toContain(`session  ${id}\n`)
  expect(await desk.run(['sessions', 'resume'])).toMatchObject({ code: 0, out: `Session ${id} with assistant\n` })
  for (const words of [
    ['sessions', 'show', id, '--agent', 'assistant'],
    ['resume', id],
    ['sessions', 'delete', id, '--agent', 'assistant'],
  ])
    expect((await stranger.run(words)).code).toBe(5)
  expect((await desk.run(['sessions', 'delete', id])).code).toBe(0)
  expect((await desk.run(['sessions', 'show', id])).code).toBe(5)
})

test('without money a message is refused for that alone, also with an image that the server accepts', async () => {
  expect((await desk.run(['chat', 'assistant', 'hi'])).code).toBe(6)
  async function* bytes() {
    yield Buffer.from('89504e470d0a1a0a', 'hex')
  }
  const readBytes = async () => bytes()
  expect((await desk.run(['chat', 'assistant', 'hi', '--image', 'a.png'], { readBytes })).code).toBe(6)
})
