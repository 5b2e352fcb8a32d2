// Memberships: what a file may say, and what a bad one does not change.
import { expect, test } from 'vitest'
import { membershipOf, parseMembers } from '../../config/members.ts'

const wallet = `0x${'aB'.repeat(20)}`
const entry = (more = 'tenant: acme, roles: [owner]') => `members:\n  - { wallet: "${wallet}", ${more} }\n`

test.each([
  ['no YAML', 'members: ['],
  ['a list', '- 1'],
  ['an unknown field', 'member: []'],
  ['an unknown role', entry('tenant: acme, roles: [king]')],
  ['no role', entry('tenant: acme, roles: []')],
  ['a tenant with a colon', entry('tenant: "a:b", roles: [owner]')],
  ['another wallet’s name as tenant', entry(`tenant: "${wallet}", roles: [owner]`)],
  ['a wallet without quotes', 'members:\n  - { wallet: 0x12, tenant: acme, roles: [owner] }'],
  ['a wallet twice', entry() + entry().replace('members:\n', '')],
])('%s is a fault that names the file', (_name, text) => {
  expect(() => parseMembers([{ name: 'members.yaml', text }])).toThrow(/members\.yaml|flow/i)
})

test('a wallet in two files is a fault', () => {
  const files = ['a', 'b'].map((name) => ({ name, text: entry() }))
  expect(() => parseMembers(files)).toThrow('listed twice')
})

test('files are put together; who is not listed is a tenant and owner of its own', () => {
  const table = parseMembers([
    { name: 'a', text: '' },
    { name: 'b', text: entry('tenant: acme, roles: [approver, operator]') },
  ])
  expect(membershipOf(table, wallet.toLowerCase())).toEqual({ tenant: 'acme', roles: ['approver', 'operator'] })
  expect(membershipOf(table, '0xother')).toEqual({ tenant: '0xother', roles: ['owner'] })
})
