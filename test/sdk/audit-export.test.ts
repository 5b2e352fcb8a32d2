// An export as it arrives: cut off, silent, not text, too long. Whatever did arrive before is given out.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { auditLineCharsMax } from '../../domain/limits.ts'
import { createAudit } from '../../sdk/audit.ts'
import { createTransport } from '../../sdk/http.ts'
import { startApiDouble, type Answer, type ApiDouble } from '../support/api-double.ts'

let api: ApiDouble
beforeEach(async () => {
  api = await startApiDouble()
})
afterEach(() => api[Symbol.asyncDispose]())

async function read(answer: Answer, signal?: AbortSignal): Promise<{ lines: string[]; error: unknown }> {
  api.on('GET /api/v1/audit/export', answer)
  const audit = createAudit(createTransport({ baseUrl: api.url, fetch, token: () => undefined }), 100)
  const lines: string[] = []
  try {
    for await (const line of audit.export({ day: '2026-01-31', redact: true, signal })) lines.push(line)
    return { lines, error: undefined }
  } catch (error) {
    return { lines, error }
  }
}

test('lines come out as they were written, wherever the bytes were cut', async () => {
  const bytes = Buffer.from('{"a":"ü€😀"}\n{}\n\n{"last":1}')
  const { lines, error } = await read((response) => {
    for (const byte of bytes) response.write(Buffer.of(byte))
    response.end()
  })
  expect([lines, error]).toEqual([['{"a":"ü€😀"}', '{}', '', '{"last":1}'], undefined])
  expect(Object.fromEntries(api.asked[0]?.query ?? [])).toEqual({ day: '2026-01-31', redact: 'true' })
})

const cut = expect.objectContaining({ name: 'GatehouseError', code: 'UNREACHABLE' }) as unknown

test.each<readonly [string, Answer]>([
  ['is cut off', (response) => response.write('one\ntw', () => response.destroy())],
  ['falls silent', (response) => void response.write('one\ntw')],
  ['is no UTF-8', (response) => void response.end(Buffer.from([0x6f, 0x6e, 0x65, 0x0a, 0xff, 0x0a]))],
  ['has a line without end', (response) => void response.end(`one\n${'x'.repeat(auditLineCharsMax + 1)}`)],
])('one that %s ends in an error', async (_name, answer) => {
  const { lines, error } = await read(answer)
  expect(lines.slice(0, 1)).toEqual(lines.length === 0 ? [] : ['one'])
  expect(error).toEqual(cut)
})

test('an interrupt passes as it is', async () => {
  const interrupted = new AbortController()
  const { error } = await read((response) => {
    response.write('one\n')
    setTimeout(() => interrupted.abort(), 20)
  }, interrupted.signal)
  expect(error).not.toEqual(cut)
})
