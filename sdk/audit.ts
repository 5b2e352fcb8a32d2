// The evidence as its readers get it: pages of records, checkpoints, verification by the server, files and public keys.
import type { AuditQuery } from '../schemas/audit-view.ts'
import { clientStreamIdleMs } from '../domain/limits.ts'
import { GatehouseError } from './errors.ts'
import { queryOf, type Transport } from './http.ts'
import { linesOf } from './lines.ts'
import * as shapes from './shapes.ts'
import { readChunks } from './sse.ts'

/** What records are asked for by. Times are ISO 8601: from the one on, before the other. */
export type AuditFilter = Partial<Pick<AuditQuery, 'wallet' | 'agent' | 'tool' | 'decision' | 'since' | 'until'>> & {
  readonly cursor?: string | undefined
  readonly limit?: number | undefined
  /** Of an operator: whose chain. */
  readonly tenant?: string | undefined
}

/** A UTC day such as `2026-01-31`, or what follows a record, up to another one. */
export type ExportRequest = (
  | { readonly day: string }
  | { readonly after: number; readonly to?: number | undefined }
) & {
  readonly tenant?: string | undefined
  /** Pseudonyms for identities. */
  readonly redact?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export function createAudit(transport: Transport, idleMs: number = clientStreamIdleMs) {
  return {
    /**
     * Records, newest first, a page at a time.
     *
     * @example
     * const { records, cursor } = await client.audit.list({ tool: 'everything/add', decision: 'allow' })
     */
    list: (filter: AuditFilter = {}): Promise<shapes.AuditPage> =>
      transport.call({ method: 'GET', path: `/api/v1/audit${queryOf(filter)}` }, shapes.AuditPage),
    /**
     * One step of verification by the server; goes on with `cursor` until that is null.
     *
     * @example
     * const verdict = await client.audit.verify()
     * if (!verdict.ok) show(verdict.firstBrokenSeq, verdict.reason)
     */
    verify: (request: { readonly tenant?: string | undefined; readonly cursor?: string | undefined } = {}) =>
      transport.call({ method: 'POST', path: '/api/v1/audit/verify', body: request }, shapes.AuditVerdict),
    /**
     * The public keys of the chain (RFC 7517): what a file is verified with.
     *
     * @example
     * const tools = await openAuditKeys(await client.audit.keys())
     */
    keys: (): Promise<shapes.AuditKeys> =>
      transport.call({ method: 'GET', path: '/.well-known/audit-jwks.json' }, shapes.AuditKeys),
    /**
     * What went in and out of a recorded effect, where the installation keeps it; 404 where it does not, or no longer.
     *
     * @example
     * const { input, output, matches } = await client.audit.payload(record.id)
     */
    payload: (record: string): Promise<shapes.AuditPayload> =>
      transport.call({ method: 'GET', path: `/api/v1/audit/payload${queryOf({ record })}` }, shapes.AuditPayload),
    /**
     * A part of the chain, line by line as it arrives. The last line is the checkpoint; `verifyExport` tells whether it
     * is there and all before it stands.
     *
     * @example
     * for await (const line of client.audit.export({ day: '2026-01-31' })) keep(line)
     */
    export: (request: ExportRequest): AsyncGenerator<string> => exportLines(transport, request, idleMs),
  }
}

async function* exportLines(
  transport: Transport,
  { signal, ...request }: ExportRequest,
  idleMs: number,
): AsyncGenerator<string> {
  const reply = await transport.open({ method: 'GET', path: `/api/v1/audit/export${queryOf(request)}`, signal })
  if (reply.body === null) return
  try {
    yield* linesOf(readChunks(reply.body, idleMs))
  } catch (cause) {
    if (signal?.aborted === true) throw cause
    throw new GatehouseError('The export was cut off.', { status: 0, code: 'UNREACHABLE', cause })
  }
}
