// The remote codec of Temporal's UI and CLI: an operator reads what histories hold, and each reading is on record.
import { payloadFromJson, payloadToJson, type createPayloadCodec, type JsonPayload } from '../crypto/payload-codec.ts'
import { GatewayError } from '../domain/errors.ts'
import { codecBodyBytesMax } from '../domain/limits.ts'
import type { Principal } from '../domain/principal.ts'
import { errorOf } from '../gateway/answer.ts'
import type { Pipeline } from '../gateway/call.ts'
import { Payloads } from '../schemas/codec.ts'
import { route, type Route } from './route.ts'

export type CodecRoutesDeps = {
  readonly codec: ReturnType<typeof createPayloadCodec>
  readonly pipeline: Pick<Pipeline, 'admit'>
}

type Operation = 'decode' | 'encode'

export function createCodecRoutes(deps: CodecRoutesDeps): Route[] {
  return [
    codecRoute(deps, 'decode', 'Payloads of a history in the clear (operators; every call is on record).'),
    codecRoute(deps, 'encode', 'Payloads as a history holds them (operators).'),
  ]
}

function codecRoute(deps: CodecRoutesDeps, operation: Operation, summary: string): Route {
  return route({
    method: 'post',
    path: `/temporal/codec/${operation}`,
    family: 'plain',
    summary,
    guard: { kind: 'operator', permission: 'admin:codec' },
    cors: 'temporal-ui',
    cookie: true,
    idempotency: 'none',
    body: Payloads,
    bodyBytesMax: codecBodyBytesMax,
    responses: { 200: Payloads },
    async handle({ body, principal, ids }) {
      await admit(deps, { principal, operation, requestId: ids.requestId, payloads: body.payloads })
      return { status: 200, body: { payloads: await run(deps, operation, body.payloads) } }
    },
  })
}

type Asked = {
  readonly principal: Principal
  readonly operation: Operation
  readonly requestId: string
  readonly payloads: readonly JsonPayload[]
}

async function admit(
  { pipeline }: CodecRoutesDeps,
  { principal, operation, requestId, payloads }: Asked,
): Promise<void> {
  const answer = await pipeline.admit({
    principal,
    session: null,
    action: 'codec.decode',
    resource: { kind: 'codec', name: operation, effectClass: 'read', owner: null },
    facts: { phase: 'call', arguments: { payloads } },
    origin: 'http',
    effectKey: `codec:${requestId}`,
    attempt: 1,
  })
  if (answer.kind !== 'done') throw errorOf(answer)
}

async function run(
  { codec }: CodecRoutesDeps,
  operation: Operation,
  payloads: readonly JsonPayload[],
): Promise<JsonPayload[]> {
  try {
    return (await codec[operation](payloads.map(payloadFromJson))).map(payloadToJson)
  } catch (cause) {
    throw new GatewayError('request-invalid', 'A payload cannot be read with the keys of this installation.', {
      details: { field: 'payloads' },
      cause,
    })
  }
}
