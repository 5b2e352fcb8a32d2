// Which failures of a query mean that the database is not there, rather than that the query was wrong.
import { GatewayError } from '../domain/errors.ts'

// SQLSTATE classes 08 (connection), 53 (resources), 57P (shutdown); 55P03, 57014 and 25P03: a lock, a statement or the
// owner of a transaction took too long.
const stateShape = /^(?:08...|53...|57P..|55P03|57014|25P03)$/
const socketCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT', 'EHOSTUNREACH'])
// The driver has no codes of its own for these.
const driverTexts = /timeout exceeded when trying to connect|Connection terminated|Query read timeout/

/** `database-unavailable` for a failure that may pass; undefined for anything else. */
export function databaseFault(error: Error): GatewayError | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const isConnect = error instanceof AggregateError || ('syscall' in error && error.syscall === 'connect')
  const isSocket = isConnect && socketCodes.has(code)
  if (!stateShape.test(code) && !isSocket && !driverTexts.test(error.message)) return undefined
  return new GatewayError('database-unavailable', 'The database is not available.', { cause: error })
}
