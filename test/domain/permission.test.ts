// Permissions of a credential.
import { expect, test } from 'vitest'
import { isPermission, permits } from '../../domain/permission.ts'

test.each([
  '',
  '*',
  'wallet',
  'wallet:',
  ':read',
  'Wallet:read',
  'wallet:read:all',
  'bank:read',
  'wallet:re ad',
  '**:*',
])('refuses %j as a permission', (text) => {
  expect(isPermission(text)).toBe(false)
})

test.each(['*:*', 'chat:*', '*:read', 'wallet:read', 'agents:read-all'])('accepts %j as a permission', (text) => {
  expect(isPermission(text)).toBe(true)
})

test('a pattern covers its own namespace and action only', () => {
  expect(permits(['chat:read'], 'chat:write')).toBe(false)
  expect(permits(['chat:*'], 'wallet:read')).toBe(false)
  expect(permits(['*:read'], 'wallet:write')).toBe(false)
  expect(permits(['*:read'], 'wallet:read')).toBe(true)
  expect(permits(['wallet:read', 'chat:*'], 'chat:submit')).toBe(true)
  expect(permits(['*:*'], 'withdraw:create')).toBe(true)
})

test('an empty list is everything but withdrawals', () => {
  expect(permits([], 'withdraw:create')).toBe(false)
  expect(permits([], 'chat:submit')).toBe(true)
})
