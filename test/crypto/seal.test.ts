// Sealed bytes open for the purpose and the key they were sealed under, unchanged, or not at all.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSeal } from '../../crypto/seal.ts'

const seal = createSeal(randomBytes(32))
const clear = Buffer.from('a private key')

test('another purpose, another key and every changed byte are refused', () => {
  const sealed = seal.seal('keys', clear)
  expect(() => seal.open('other', sealed)).toThrow('authenticate')
  expect(() => createSeal(randomBytes(32)).open('keys', sealed)).toThrow('authenticate')
  for (let index = 0; index < sealed.length; index += 1) {
    const changed = Buffer.from(sealed)
    changed.writeUInt8(changed.readUInt8(index) ^ 1, index)
    expect(() => seal.open('keys', changed)).toThrow(Error)
  }
})

test.each([0, 1, 12, 28])('%i bytes are no sealed bytes', (length) => {
  expect(() => seal.open('keys', seal.seal('keys', clear).subarray(0, length))).toThrow('not ours')
})

test('a master key of another length is refused', () => {
  expect(() => createSeal(randomBytes(16))).toThrow('32 bytes')
})

test('what was sealed opens, twice sealed differs, keys of purposes differ', () => {
  const sealed = seal.seal('keys', clear)
  expect(seal.open('keys', sealed)).toEqual(clear)
  expect(seal.seal('keys', clear)).not.toEqual(sealed)
  expect(seal.derive('a')).not.toEqual(seal.derive('b'))
  expect(seal.derive('a')).toEqual(seal.derive('a'))
})
