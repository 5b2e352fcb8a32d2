// Routes of no meaning, for what the frame does around every route. `handled`: what reached a handler.
import { z } from 'zod'
import { route, type Route } from '../../api/route.ts'
import { GatewayError } from '../../domain/errors.ts'

/** Routes that push what they handled. */
export function createProbes(handled: unknown[]): Route[] {
  const guard = { kind: 'public', because: 'A suite asks.' } as const
  const common = { family: 'wallet', summary: 'A probe.', guard } as const
  const Note = z.object({ note: z.unknown().optional() })

  return [
    route({
      ...common,
      method: 'post',
      path: '/probe/body',
      body: Note,
      bodyBytesMax: 1_000,
      responses: { 200: Note },
      async handle({ body }) {
        handled.push(body)
        return { status: 200, body }
      },
    }),
    route({
      ...common,
      method: 'post',
      path: '/api/v1/probe',
      family: 'control',
      body: z.strictObject({ note: z.string() }),
      responses: { 200: Note },
      async handle({ body }) {
        handled.push(body)
        return { status: 200, body }
      },
    }),
    route({
      ...common,
      method: 'get',
      path: '/probe/:id',
      params: z.object({ id: z.string() }),
      responses: { 200: null },
      handle: async () => ({ status: 200 }),
    }),
    route({
      ...common,
      method: 'get',
      path: '/probe/fault/:kind',
      params: z.object({ kind: z.string() }),
      responses: { 200: z.strictObject({ fine: z.literal(true) }) },
      async handle({ params }) {
        if (params.kind === 'bug') throw new TypeError('a secret detail')
        if (params.kind === 'database')
          throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' })
        if (params.kind === 'limited') throw new GatewayError('rate-limited', 'Slower.', { retryAfterMs: 1_500 })
        if (params.kind === 'funds')
          throw new GatewayError('insufficient-funds', 'Not enough.', { details: { required: '5', inner: 'secret' } })
        if (params.kind === 'status') return { status: 201, body: { fine: true } }
        return { status: 200, body: { fine: false, secret: 'leaked' } }
      },
    }),
  ]
}
