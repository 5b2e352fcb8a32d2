// The connection pool. Every connection runs as the application role, which may not rewrite the ledger or the audit
// chain; int8 columns arrive as bigint.
import pg from 'pg'
import { lockWaitMs, statementMs, transactionIdleMs } from '../domain/limits.ts'

pg.types.setTypeParser(pg.types.builtins.INT8, BigInt)

export type Pool = pg.Pool
export type Client = pg.PoolClient
/** What a query function needs: the pool itself or a client inside a transaction. */
export type Queryable = { query: Pool['query'] }

export type PoolOptions = {
  readonly url: string
  /** Connections of this process, 10–16. */
  readonly connectionsMax?: number
  readonly applicationName?: string
  /** Called with errors of idle connections; the pool replaces them. */
  readonly onError?: (error: Error) => void
  /** As the owner of the schema instead of the application role: for operator commands. */
  readonly asOwner?: boolean
}

const sessionOptions = [
  `lock_timeout=${lockWaitMs}`,
  `statement_timeout=${statementMs}`,
  `idle_in_transaction_session_timeout=${transactionIdleMs}`,
]
  .map((option) => `-c ${option}`)
  .join(' ')

/** Opens a pool; `end()` it when done. Nothing is connected before the first query. */
export function createPool(options: PoolOptions): Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax ?? 12,
    options: options.asOwner === true ? sessionOptions : `-c role=gatehouse_app ${sessionOptions}`,
    application_name: options.applicationName ?? 'gatehouse',
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
  })
  pool.on('error', (error) => options.onError?.(error))
  return pool
}

/** A connection of its own, for LISTEN. The caller connects and ends it. */
export function createListener(url: string, applicationName = 'gatehouse-listen'): pg.Client {
  return new pg.Client({
    connectionString: url,
    options: '-c role=gatehouse_app',
    application_name: applicationName,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  })
}
