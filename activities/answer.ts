// Reads one streamed answer of a model: words go to the token bus as they come, blocks and usage are gathered for the
// record.
import { Context } from '@temporalio/activity'
import { toolCallsPerStepMax } from '../domain/limits.ts'
import { noUsage } from '../domain/pricing.ts'
import { splitToolName } from '../domain/tool.ts'
import type { Block, ModelEvent, ModelRequest, ModelUsage } from '../schemas/model.ts'
import { turnStreamId } from '../workflows/contract.ts'
import { createDeltaWriter, type DeltaWriter } from './deltas.ts'
import type { ActivityDeps } from './deps.ts'
import type { StepRef } from './turn-context.ts'

/** What one answer amounted to. `stopped`: cut by a cancel or a revocation after something was produced. */
export type Answered = {
  readonly blocks: readonly Block[]
  readonly usage: ModelUsage
  readonly stopReason: string
  readonly stopped: boolean
}

export type Reading = {
  readonly ref: StepRef
  readonly request: ModelRequest
  readonly attemptId: string
  readonly signal: AbortSignal
}

type Gathered = { text: string; calls: Block[]; usage: ModelUsage; stopReason: string }

/** An attempt of a later number fences out the earlier one; readers drop what that one said of this step. */
export function fenceOf(ref: StepRef): bigint {
  return BigInt(ref.try * 1_000_000 + ref.step * 1_000 + Math.min(Context.current().info.attempt, 999))
}

/** Streams the answer. A cut by our own signal after something was produced is an answer too: it is stored and billed. */
export async function readAnswer(deps: ActivityDeps, reading: Reading): Promise<Answered> {
  const { ref, request, signal, attemptId } = reading
  const stream = { streamId: turnStreamId(ref.turnId), fence: fenceOf(ref) }
  const writer = createDeltaWriter(deps.bus, stream)
  const gathered: Gathered = { text: '', calls: [], usage: { ...noUsage }, stopReason: 'unknown' }
  const headers = { ...deps.tracing.headers(), 'x-gatehouse-attempt': attemptId }
  let stopped = false
  try {
    const idempotencyKey = `${ref.turnId}:${ref.try}:m${ref.step}`
    for await (const event of deps.model.stream(request, { signal, headers, idempotencyKey })) {
      Context.current().heartbeat()
      await take(gathered, writer, event)
      if (gathered.text !== '') deps.crashPoint('model-mid-stream')
    }
  } catch (error) {
    stopped = isCut(signal) && gathered.text !== ''
    if (!stopped) {
      writer.stop()
      throw error
    }
  }
  await writer.flush()
  return stopped ? cutShort(gathered) : whole(deps, stream, gathered)
}

async function take(gathered: Gathered, writer: DeltaWriter, event: ModelEvent): Promise<void> {
  if (event.type === 'usage') gathered.usage = event.usage
  else if (event.type === 'stop') gathered.stopReason = event.reason
  else if (event.type === 'thinking') await writer.write('thinking', event.text)
  else if (event.type === 'tool_use')
    gathered.calls.push({ type: 'tool_use', id: event.id, name: event.name, input: event.input })
  else {
    gathered.text += event.text
    await writer.write('delta', event.text)
  }
}

// A person's cancel or a revocation cuts an answer. A worker that shuts down does not: the next attempt begins anew.
function isCut(signal: AbortSignal): boolean {
  const { cancellationSignal, cancellationDetails } = Context.current()
  return signal.aborted && (!cancellationSignal.aborted || cancellationDetails?.cancelRequested === true)
}

const said = ({ text }: Gathered): Block[] => (text === '' ? [] : [{ type: 'text', text }])

// The vendor counts output at the end only; until then a token is taken to be four bytes.
function cutShort(gathered: Gathered): Answered {
  const outputTokens = Math.max(gathered.usage.outputTokens, Math.ceil(Buffer.byteLength(gathered.text) / 4))
  return {
    blocks: said(gathered),
    usage: { ...gathered.usage, outputTokens },
    stopReason: 'cancelled',
    stopped: true,
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
  return { blocks: [...said(gathered), ...calls], usage, stopReason, stopped: false }
}
