// Whether the database answers.
import type { Queryable } from './pool.ts'

export async function pingDatabase(queryable: Queryable): Promise<void> {
  await queryable.query('SELECT 1')
}
