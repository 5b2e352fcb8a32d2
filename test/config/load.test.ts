import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { ConfigError, Environment, loadConfig } from '../../config/load.ts'
import { parseMembers, membershipOf } from '../../config/members.ts'

const production = {
  GATEHOUSE_ENV: 'production',
  DATABASE_URL: 'postgres://a:planted@db/x',
  TEMPORAL_ADDRESS: 'temporal:7233',
  ANTHROPIC_API_KEY: 'planted-key',
  GATEHOUSE_MASTER_KEY: '5f1c0a97be42d8e36b7094f2ac8d13e5907f6b2c4e8a1d35f0b79c6e24d8a1b3',
  GATEHOUSE_PROXIES: '1',
  GATEHOUSE_PUBLIC_URL: 'https://gate.example',
}

test('all faults are told at once, by name', () => {
  const load = () =>
    loadConfig({
      GATEHOUSE_PORT: '99999',
      GATEHOUSE_TEMPORAL: 'maybe',
      TEMPORAL_ADDRESS: 'nowhere',
      DATABASE_URL: 'mysql://x',
    })
  expect(load).toThrow(ConfigError)
  expect(load).toThrow(/GATEHOUSE_PORT[\s\S]*GATEHOUSE_TEMPORAL[\s\S]*DATABASE_URL[\s\S]*TEMPORAL_ADDRESS/)
})

test.each([
  'DATABASE_URL',
  'TEMPORAL_ADDRESS',
  'ANTHROPIC_API_KEY',
  'GATEHOUSE_MASTER_KEY',
  'GATEHOUSE_PUBLIC_URL',
  'GATEHOUSE_PROXIES',
])('production refuses to start without %s', (name) => {
  expect(() => loadConfig({ ...production, [name]: '' })).toThrow(new RegExp(name))
})

test.each([
  '0'.repeat(64),
  'deadbeef'.repeat(8),
  '0123456789abcdef'.repeat(4),
  '0123456789ABCDEF0123456789abcdef'.repeat(2),
])('production refuses the default master key %s', (key) => {
  expect(() => loadConfig({ ...production, GATEHOUSE_MASTER_KEY: key })).toThrow(/GATEHOUSE_MASTER_KEY: .*default/)
})

test.each(['postgres', 'password', 'changeme', 'Secret'])('production refuses the database password %s', (password) => {
  for (const name of ['DATABASE_URL', 'DATABASE_OWNER_URL'])
    expect(() => loadConfig({ ...production, [name]: `postgres://gate:${password}@db:5432/x` })).toThrow(
      new RegExp(`${name}: .*default`),
    )
})

test('production takes no proxies when that is said', () => {
  expect(loadConfig({ ...production, GATEHOUSE_PROXIES: '0' }).proxies).toBe(0)
})

test('production refuses plain http', () => {
  expect(() => loadConfig({ ...production, GATEHOUSE_PUBLIC_URL: 'http://gate.example' })).toThrow(/https/)
})

test.each(['-1', '1.5', '0x1', 'two', '9'])('%s proxies are a fault', (text) => {
  expect(() => loadConfig({ GATEHOUSE_PROXIES: text })).toThrow(/GATEHOUSE_PROXIES/)
})

test('secrets do not print, and the result is frozen', () => {
  const config = loadConfig(production)
  const printed = JSON.stringify(config) + inspect(config, { depth: 9 }) + String(config.secrets.anthropicApiKey)
  expect(printed).not.toContain('planted')
  expect(config.secrets.anthropicApiKey?.reveal()).toBe('planted-key')
  expect(() => Object.assign(config.model, { kind: 'scripted' })).toThrow(TypeError)
})

test('.env.example lists exactly what is read', () => {
  const text = readFileSync(fileURLToPath(new URL('../../.env.example', import.meta.url)), 'utf8')
  const listed = text.split('\n').flatMap((line) => /^([A-Z_]+)=/.exec(line)?.[1] ?? [])
  expect(listed.toSorted()).toEqual(Object.keys(Environment.shape).toSorted())
})

test('members: a wallet listed twice or with an unknown role is refused, an unlisted one owns itself', () => {
  const wallet = `0x${'AB'.repeat(20)}`
  const file = (roles: string) => ({
    name: 'members.yaml',
    text: `members:\n  - { wallet: "${wallet}", tenant: demo, roles: [${roles}] }`,
  })
  expect(() => parseMembers([file('king')])).toThrow(/members\.yaml/)
  expect(() => parseMembers([file('owner'), file('owner')])).toThrow(/twice/)
  const table = parseMembers([file('operator'), { name: 'empty.yaml', text: '' }])
  expect(membershipOf(table, wallet.toLowerCase())).toEqual({ tenant: 'demo', roles: ['operator'] })
  expect(membershipOf(table, '0xother')).toEqual({ tenant: '0xother', roles: ['owner'] })
})
