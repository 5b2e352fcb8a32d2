// The search for planted words finds them in every form, or a proof that finds nothing says nothing.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { canariesBelow, canariesIn } from '../support/canary.ts'

const canaries = { core: '0f1e2d3c', each: [{ name: 'word', value: 'w"/0f1e2d3c-rest' }] }
const { value } = canaries.each[0] ?? { value: '' }

test.each([
  ['plain', Buffer.from(value)],
  ['JSON', Buffer.from(JSON.stringify(value))],
  ['URL', Buffer.from(encodeURIComponent(value))],
  ['hexadecimal', Buffer.from(Buffer.from(value).toString('hex'))],
  ['upper hexadecimal', Buffer.from(Buffer.from(value).toString('hex').toUpperCase())],
  ['Base64', Buffer.from(Buffer.from(value).toString('base64'))],
  ['Base64 after one byte', Buffer.from(Buffer.from(`x${value}yz`).toString('base64'))],
  ['Base64 after two bytes', Buffer.from(Buffer.from(`xx${value}yz`).toString('base64url'))],
  ['UTF-16', Buffer.from(value, 'utf16le')],
  ['UTF-16, big end first', Buffer.from(value, 'utf16le').swap16()],
])('%s is found among other bytes', (_name, form) => {
  expect(canariesIn(Buffer.concat([Buffer.from('before '), form, Buffer.from(' after')]), canaries)).toEqual(['word'])
})

test('the core alone, or another word, is not it', () => {
  expect(canariesIn(Buffer.from('0f1e2d3c w"/0f1e2d3c-resT'), canaries)).toEqual([])
})

test('in files it is found also where two pieces meet, and its file is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-canary-'))
  await mkdir(join(folder, 'deep'))
  await writeFile(join(folder, 'none'), 'nothing')
  await writeFile(join(folder, 'deep', 'file'), `${'x'.repeat(3_999_995)}${value}${'x'.repeat(10)}`)
  try {
    expect(await canariesBelow(folder, canaries)).toEqual(['word in deep/file'])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
