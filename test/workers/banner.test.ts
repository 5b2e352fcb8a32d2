// The printed block says what is there, and nothing of development in production.
import { expect, test } from 'vitest'
import { banner } from '../../workers/local/banner.ts'
import type { RunFile } from '../../workers/local/run-file.ts'

const run: RunFile = {
  ready: true,
  startedAt: '2026-01-31T12:00:00.000Z',
  api: ['http://127.0.0.1:4300', 'http://127.0.0.1:4301'],
  openapi: 'http://127.0.0.1:4300/openapi.json',
  temporalAddress: '127.0.0.1:7233',
  temporalUi: 'http://127.0.0.1:8233',
  databaseUrl: 'postgres://gateway:planted@/gatehouse',
  model: 'http://127.0.0.1:5000',
  tools: 'http://127.0.0.1:5001/mcp',
  pids: { supervisor: 1, api: [2, 3], durable: [4], postgres: 5, temporal: 6, model: 7, tools: 8 },
  demo: [{ name: 'maintainer', address: '0xaa', keyFile: '/state/demo/maintainer.key' }],
}

test('development shows addresses, doubles, identities and what to try, and no secret', () => {
  const text = banner({ run, readySeconds: 6.24, environment: 'development', stateDir: '.gatehouse' })
  for (const part of [
    'Gatehouse (development)',
    'ready in 6.2 s',
    'http://127.0.0.1:4300',
    'and http://127.0.0.1:4301',
    'UI http://127.0.0.1:8233',
    'scripted (offline)',
    'set ANTHROPIC_API_KEY',
    'maintainer',
    'npx --no gatehouse login --new',
    'http://127.0.0.1:4300/temporal/codec',
  ])
    expect(text).toContain(part)
  expect(text).not.toContain('planted')
})

test('production shows neither play money nor identities nor a scripted model', () => {
  const production = { ...run, model: null, temporalUi: null, demo: [] }
  const text = banner({ run: production, environment: 'production', stateDir: '/var/gatehouse' })
  expect(text).toContain('Gatehouse (production)')
  expect(text).toContain('since 2026-01-31T12:00:00.000Z')
  expect(text).toContain('npm run doctor')
  expect(text).not.toMatch(/login --new|scripted|Identities|maintainer|ANTHROPIC_API_KEY|reset/)
})
