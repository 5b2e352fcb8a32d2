// An API with evidence in it: people whose calls were decided and sealed by the real pipeline.
import { insertCheckpoint } from '../../db/audit-checkpoint.ts'
import { lockHead } from '../../db/audit.ts'
import { openWallet } from '../../db/identity.ts'
import { inTransaction } from '../../db/transaction.ts'
import type { Principal } from '../../domain/principal.ts'
import { signCheckpoint } from '../../gateway/audit-checkpoint.ts'
import { openGateway, personWith, toolCall, type Gateway } from '../gateway/fixture.ts'
import { startTestApi, testMasterKey, type TestApi } from './api.ts'

export type Witness = {
  readonly principal: Principal
  readonly token: string
  readonly call: (method: string, path: string, body?: unknown) => Promise<Response>
  /** Answers the parsed body, whatever the status. */
  readonly json: (method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>
  /** Tool calls, reads and writes in turn, sealed. */
  readonly act: (calls: number, over?: Parameters<typeof toolCall>[2]) => Promise<void>
}

export type EvidenceRig = AsyncDisposable & {
  readonly api: TestApi
  readonly gateway: Gateway
  /** Signs and stores a checkpoint of a chain as it stands. */
  readonly cover: (tenant: string) => Promise<void>
  readonly join: (membership?: { tenant: string; roles: Principal['roles'] }) => Promise<Witness>
}

export async function createEvidenceRig(): Promise<EvidenceRig> {
  const api = await startTestApi()
  const { pool } = api.database
  const gateway = await openGateway(api.database, { masterKey: testMasterKey })
  const join: EvidenceRig['join'] = async (membership) => {
    const account = api.newWallet()
    const wallet = account.address.toLowerCase()
    const { tenant, roles } = membership ?? { tenant: wallet, roles: ['owner' as const] }
    if (membership) api.roles.set(wallet, { tenant, roles: [...roles] })
    await pool.query('DELETE FROM rate_bucket')
    const token = await api.tokenOf(account)
    const principal = personWith({ wallet, walletId: await openWallet(pool, wallet), tenant, roles })
    const call: Witness['call'] = (method, path, body) =>
      fetch(`${api.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    return {
      ...{ principal, token, call },
      json: async (method, path, body) => (await (await call(method, path, body)).json()) as Record<string, unknown>,
      async act(calls, over = {}) {
        for (let n = 0; n < calls; n += 1) {
          const order = toolCall(principal, n % 2 ? 'read' : 'write', over)
          await gateway.pipeline.run(order, async () => ({ value: 'fine', output: 'fine' }))
        }
        await gateway.sealer.drain()
      },
    }
  }
  return {
    ...{ api, gateway, join },
    cover: (tenant) =>
      inTransaction(pool, async (client) => {
        const head = await lockHead(client, tenant)
        await insertCheckpoint(client, signCheckpoint(gateway.keys, { tenant, head, at: new Date() }))
      }),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await api[Symbol.asyncDispose]()
    },
  }
}
