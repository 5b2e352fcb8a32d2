// The login of the serving processes has nothing behind it: no role to go back to, no password that lasts.
import pg from 'pg'
import { expect, test } from 'vitest'
import { createPool } from '../../db/pool.ts'
import { openServiceLogin } from '../../workers/local/service-login.ts'
import { createTestDatabase } from '../support/database.ts'

test('it may what the application may, and no more after a reset of its role', async () => {
  await using database = await createTestDatabase()
  const url = await openServiceLogin(database.url)
  const pool = createPool({ url, connectionsMax: 1 })
  try {
    await pool.query('SELECT 1 FROM transfer')
    for (const escape of ['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION', 'SELECT 1']) {
      await pool.query(escape)
      for (const sql of [
        'UPDATE account SET credits_posted = 1',
        'DELETE FROM transfer',
        'DROP TABLE transfer',
        'CREATE ROLE evil',
      ])
        await expect(pool.query(sql)).rejects.toThrow(/permission denied|must be owner/)
    }
    await expect(pool.query('SET ROLE gateway')).rejects.toThrow(/permission denied|does not exist/)
    await expect(pool.query('ALTER ROLE gatehouse_service SUPERUSER')).rejects.toThrow('permission denied')
  } finally {
    await pool.end()
  }
})

test('each opening has a password of its own, which nothing else keeps', async () => {
  await using database = await createTestDatabase()
  const [first, second] = [await openServiceLogin(database.url), await openServiceLogin(database.url)]
  expect(first).not.toBe(second)
  const stale = new pg.Client({ connectionString: first })
  await expect(stale.connect()).rejects.toThrow('password authentication failed')
  const live = new pg.Client({ connectionString: second })
  await live.connect()
  await live.end()
})
