// One transaction, one client: commit when the work resolves, roll back when it throws.
import type { Client, Pool } from './pool.ts'

/** Runs `work` in a READ COMMITTED transaction. Throws what lost the connection, if that is what ended it. */
export async function inTransaction<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let lost: Error | undefined
  let broken: Error | undefined
  // The pool listens to idle clients only: an error that nobody hears ends the process.
  const lose = (error: Error) => void (lost ??= error)
  client.on('error', lose)
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error('Rolling back failed.')
    })
    throw lost ?? error
  } finally {
    client.off('error', lose)
    client.release(lost ?? broken)
  }
}
