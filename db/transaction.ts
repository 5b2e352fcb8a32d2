// One transaction, one client: commit when the work resolves, roll back when it throws.
import type { Client, Pool } from './pool.ts'

/** Runs `work` in a READ COMMITTED transaction. */
export async function inTransaction<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error('Rolling back failed.')
    })
    throw error
  } finally {
    client.release(broken)
  }
}
