// The gate as arithmetic: the oldest epoch of a scope counts, and a greater one revokes.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { firstRevoked, mergeGates, scopeName } from '../../domain/revocation.ts'

const anyGate = fc.array(
  fc.record({ scope: fc.constantFrom('a:1', 'a:2', 'b:1'), epoch: fc.integer({ min: 0, max: 3 }) }),
  { maxLength: 6 },
)

test('a scope whose epoch has passed the carried one is revoked', () => {
  const gate = [
    { scope: 'session:s', epoch: 2 },
    { scope: 'wallet:w', epoch: 0 },
  ]
  const at = (epochs: Record<string, number>) => firstRevoked(gate, (scope) => epochs[scope] ?? 0)
  expect(at({ 'session:s': 3 })).toBe('session:s')
  expect(at({ 'session:s': 2, 'wallet:w': 1 })).toBe('wallet:w')
  expect(at({ 'session:s': 2, 'other:o': 9 })).toBeUndefined()
})

test('merging keeps the oldest epoch of each scope, sorted as locks demand', () => {
  expect(mergeGates([{ scope: 'b', epoch: 1 }], [{ scope: 'a', epoch: 2 }], [{ scope: 'b', epoch: 0 }])).toEqual([
    { scope: 'a', epoch: 2 },
    { scope: 'b', epoch: 0 },
  ])
})

test('a merged gate is revoked exactly when one of its parts is', () => {
  const epochs = fc.record({ 'a:1': fc.nat(3), 'a:2': fc.nat(3), 'b:1': fc.nat(3) })
  fc.assert(
    fc.property(anyGate, anyGate, epochs, (left, right, now) => {
      const epochOf = (scope: string) => now[scope as keyof typeof now]
      const parts = [left, right].some((gate) => firstRevoked(gate, epochOf) !== undefined)
      expect(firstRevoked(mergeGates(left, right), epochOf) !== undefined).toBe(parts)
    }),
  )
})

test('a scope is named by its kind and id', () => {
  expect(scopeName('session', 'ab12')).toBe('session:ab12')
})
