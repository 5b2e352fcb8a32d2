// A browser on the same machine is signed in by a one-time address, asked for with a bearer token. What the link gives
// is never more than what asked for it: the same wallet, no longer life, nothing after a revocation.
import { createHash, randomBytes } from 'node:crypto'
import { consumeOneTime, insertOneTime, readEpoch } from '../db/identity.ts'
import type { Pool } from '../db/pool.ts'
import { GatewayError } from '../domain/errors.ts'
import { linkSecondsMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import { LinkPayload } from '../schemas/auth.ts'
import type { Issued, Login } from './login.ts'
import type { Clock, Members } from './ports.ts'

export type SignInLinksDeps = {
  readonly pool: Pool
  readonly login: Pick<Login, 'issueSession'>
  readonly members: Members
  readonly clock: Clock
}

export type SignInLinks = {
  /** A code for the address; it lives for a minute. */
  readonly open: (principal: Principal) => Promise<string>
  /** Uses a code up. */
  readonly use: (code: string) => Promise<Issued & { readonly isOperator: boolean }>
}

const kind = 'link'
const digestOf = (code: string) => createHash('sha256').update(code).digest('hex')

export function createSignInLinks(deps: SignInLinksDeps): SignInLinks {
  return {
    async open({ wallet, permissions, gate, expiresAt: until, authenticatedAt }) {
      // A session permits everything; the empty list of older tokens does not.
      if (!permissions.includes('*:*')) {
        throw new GatewayError('permission-missing', 'Only a full credential may open a link.', {
          details: { permission: '*:*' },
        })
      }
      const code = randomBytes(24).toString('base64url')
      const expiresAt = new Date(deps.clock().getTime() + linkSecondsMax * 1000)
      const proved = authenticatedAt === undefined ? {} : { authenticatedAt: authenticatedAt.toISOString() }
      const payload: LinkPayload = { wallet, gate, until: until.toISOString(), ...proved }
      await insertOneTime(deps.pool, { kind, id: digestOf(code), payload, expiresAt })
      return code
    },
    async use(code) {
      const now = deps.clock()
      const stored = await consumeOneTime(deps.pool, { kind, id: digestOf(code), now })
      if (!stored) throw over()
      const { wallet, gate, until, authenticatedAt } = LinkPayload.parse(stored)
      for (const { scope, epoch } of gate) if ((await readEpoch(deps.pool, scope)) > epoch) throw over()
      if (new Date(until) <= now) throw over()
      const issued = await deps.login.issueSession(wallet, {
        until: new Date(until),
        authenticatedAt: authenticatedAt === undefined ? undefined : new Date(authenticatedAt),
      })
      return { ...issued, isOperator: deps.members.of(wallet).roles.includes('operator') }
    },
  }
}

const over = () => new GatewayError('not-found', 'The link was used or has expired.')
