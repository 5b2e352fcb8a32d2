// Which secrets are looked for, and by which name.
import { expect, test } from 'vitest'
import { loadConfig } from '../../config/load.ts'
import { knownSecrets } from '../../config/secrets.ts'

test('keys and the passwords of databases are known by the names of their variables', () => {
  const config = loadConfig({
    ANTHROPIC_API_KEY: 'sk-ant-planted',
    GATEHOUSE_MASTER_KEY: '0123456789abcdef'.repeat(4),
    DATABASE_URL: 'postgres://app:pass%2Fword%21@127.0.0.1:5432/gatehouse',
    DATABASE_OWNER_URL: 'postgres://owner:broken%zzword@/gatehouse?host=/run/postgresql',
  })
  expect(knownSecrets(config)).toEqual([
    { name: 'ANTHROPIC_API_KEY', value: 'sk-ant-planted' },
    { name: 'GATEHOUSE_MASTER_KEY', value: '0123456789abcdef'.repeat(4) },
    { name: 'DATABASE_URL', value: 'pass/word!' },
    { name: 'DATABASE_OWNER_URL', value: 'broken%zzword' },
  ])
})

test('what is absent, or too short to be told from words, is not looked for', () => {
  expect(knownSecrets(loadConfig({ DATABASE_URL: 'postgres://app:short@127.0.0.1/x' }))).toEqual([])
  expect(knownSecrets(loadConfig({ DATABASE_URL: 'postgres://127.0.0.1/x' }))).toEqual([])
})
