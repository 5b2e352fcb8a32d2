// Children of the supervisor are told what they need and nothing else.
import { expect, test } from 'vitest'
import { loadConfig } from '../../config/load.ts'
import { doubleEnvironment, serviceEnvironment } from '../../workers/local/environment.ts'

const secrets = {
  DATABASE_URL: 'postgres://service:planted-1@db/x',
  DATABASE_OWNER_URL: 'postgres://owner:planted-2@db/x',
  ANTHROPIC_API_KEY: 'planted-key-3',
  GATEHOUSE_MASTER_KEY: '0123456789abcdef'.repeat(4),
  GITHUB_TOKEN: 'planted-4',
}
const environment = { ...secrets, PATH: '/bin', LOG_LEVEL: 'warn', NODE_OPTIONS: '--inspect' }
const facts = { environment, config: loadConfig(environment), stateDir: '/state' }

test('a double, which plays an outside party, is told no secret', () => {
  expect(doubleEnvironment(facts)).toEqual({
    PATH: '/bin',
    LOG_LEVEL: 'warn',
    GATEHOUSE_ENV: 'development',
    GATEHOUSE_STATE_DIR: '/state',
  })
})

test('a process that serves is not told the owner of the database', () => {
  const told = serviceEnvironment(facts, 'http://127.0.0.1:4300')
  expect(told['DATABASE_OWNER_URL']).toBeUndefined()
  expect(told).toMatchObject({ GATEHOUSE_PUBLIC_URL: 'http://127.0.0.1:4300', DATABASE_URL: secrets.DATABASE_URL })
})
