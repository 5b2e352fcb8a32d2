// Reads one streamed answer of a model: words go to the token bus as they come, blocks and usage are gathered for the
// record.
import { Context } from '@temporalio/activity'
import { GatewayError, type ErrorCode } from '../domain/errors.ts'
import { modelAttemptsMax, toolCallsPerStepMax } from '../domain/limits.ts'
import { noUsage } from '../domain/pricing.ts'
import { splitToolName } from '../domain/tool.ts'
import type { Block, ModelEvent, ModelRequest, ModelUsage } from '../schemas/model.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { createDeltaWriter, type DeltaWriter } from './deltas.ts'
import type { ActivityDeps } from './deps.ts'
import { verdictOf } from './failure.ts'
import type { StepRef } from './turn-context.ts'

/** What one answer amounted to. */
export type Answered = {
  readonly blocks: readonly Block[]
  readonly usage: ModelUsage
  readonly stopReason: string
  /** Why it was cut short after it had cost something; null for a whole answer. */
  readonly cut: GatewayError | null
  /** Whether it stands: a broken answer that is tried again does not. */
  readonly stands: boolean
}

export type Reading = {
  readonly ref: StepRef
  readonly request: ModelRequest
  readonly attemptId: string
  readonly signal: AbortSignal
}

type Gathered = {
  text: string
  /** Bytes of what was produced besides the text: thoughts, tool arguments. */
  otherBytes: number
  calls: Block[]
  usage: ModelUsage
  /** Whether the vendor has told any usage. */
  metered: boolean
  stopReason: string
}

/** An attempt of a later number fences out the earlier one; readers drop what that one said of this step. */
export function fenceOf(ref: StepRef): bigint {
  return BigInt(ref.try * 1_000_000 + ref.step * 1_000 + Math.min(Context.current().info.attempt, 999))
}

/** Fence of the last event of a try: above all of its attempts, below the next try's. */
export function lastFenceOf(attempt: number): bigint {
  return BigInt((attempt + 1) * 1_000_000 - 1)
}

/**
 * Streams the answer. What was metered and then cut, by our own signal or because the upstream broke, is an answer too:
 * its words are kept and its usage is billed. Throws what failed before it cost anything.
 */
export async function readAnswer(deps: ActivityDeps, reading: Reading): Promise<Answered> {
  const { ref, request, signal, attemptId } = reading
  const stream = { streamId: turnStreamId(ref.turnId), fence: fenceOf(ref) }
  const writer = createDeltaWriter(deps.bus, stream)
  const gathered: Gathered = { ...nothing, usage: { ...noUsage }, calls: [] }
  const headers = { ...deps.tracing.headers(), 'x-gatehouse-attempt': attemptId }
  let cut: GatewayError | null = null
  try {
    const idempotencyKey = `${ref.turnId}:${ref.try}:m${ref.step}`
    for await (const event of deps.model.stream(request, { signal, headers, idempotencyKey })) {
      Context.current().heartbeat()
      await take(gathered, writer, event)
      if (gathered.text !== '') deps.crashPoint('model-mid-stream')
    }
  } catch (error) {
    cut = cutOf(error, signal)
    if (cut === null || !(gathered.metered || gathered.text !== '')) {
      writer.stop()
      throw error
    }
  }
  if (cut === null) {
    await writer.flush()
    return whole(deps, stream, gathered)
  }
  const stands = isLast(cut)
  if (stands) await writer.flush()
  else writer.stop()
  return { ...cutShort(gathered, cut), stands }
}

const nothing = { text: '', otherBytes: 0, metered: false, stopReason: 'unknown' } as const

async function take(gathered: Gathered, writer: DeltaWriter, event: ModelEvent): Promise<void> {
  if (event.type === 'usage') Object.assign(gathered, { usage: event.usage, metered: true })
  else if (event.type === 'stop') gathered.stopReason = event.reason
  else if (event.type === 'thinking') {
    gathered.otherBytes += Buffer.byteLength(event.text)
    await writer.write('thinking', event.text)
  } else if (event.type === 'tool_use') {
    gathered.otherBytes += Buffer.byteLength(JSON.stringify(event.input))
    gathered.calls.push({ type: 'tool_use', id: event.id, name: event.name, input: event.input })
  } else {
    gathered.text += event.text
    await writer.write('delta', event.text)
  }
}

// A person's cancel or a revocation cuts an answer, and so does an upstream that breaks. A worker that shuts down does
// not, nor an attempt that was replaced: the next attempt begins anew.
function cutOf(error: unknown, signal: AbortSignal): GatewayError | null {
  const { cancellationSignal, cancellationDetails } = Context.current()
  if (signal.aborted) {
    if (cancellationDetails?.cancelRequested === true)
      return new GatewayError('turn-cancelled', 'The turn was stopped.')
    return cancellationSignal.aborted ? null : new GatewayError('revoked', 'The turn was stopped.')
  }
  return error instanceof GatewayError && upstreamCodes.has(error.code) ? error : null
}

const upstreamCodes: ReadonlySet<ErrorCode> = new Set([
  'upstream-timeout',
  'upstream-unavailable',
  'upstream-rate-limited',
  'upstream-refused',
  'upstream-invalid',
])

/** Whether nobody tries the call again. */
const isLast = ({ code }: GatewayError): boolean =>
  verdictOf(code) === 'final' || Context.current().info.attempt >= modelAttemptsMax

const said = ({ text }: Pick<Gathered, 'text'>): Block[] => (text === '' ? [] : [{ type: 'text', text }])

// The vendor counts output at the end only; until then a token is taken to be four bytes. Tool calls of a cut answer are
// never run.
function cutShort(gathered: Gathered, cut: GatewayError): Omit<Answered, 'stands'> {
  const estimate = Math.ceil((Buffer.byteLength(gathered.text) + gathered.otherBytes) / 4)
  return {
    blocks: said(gathered),
    usage: { ...gathered.usage, outputTokens: Math.max(gathered.usage.outputTokens, estimate) },
    stopReason: cut.code === 'turn-cancelled' || cut.code === 'revoked' ? 'cancelled' : cut.code,
    cut,
  }
}

async function whole(
  { bus }: ActivityDeps,
  stream: { readonly streamId: string; readonly fence: bigint },
  gathered: Gathered,
): Promise<Answered> {
  const calls = gathered.calls.slice(0, toolCallsPerStepMax)
  for (const call of calls) {
    if (call.type !== 'tool_use') continue
    const displayName = splitToolName(call.name)?.tool ?? call.name
    const body = { id: call.id, name: call.name, displayName, args: call.input }
    await bus.append({ ...stream, kind: 'tool_call', body })
  }
  const { usage, stopReason } = gathered
  return { blocks: [...said(gathered), ...calls], usage, stopReason, cut: null, stands: true }
}
