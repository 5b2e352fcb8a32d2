// Evidence on its way to a sink, part by part: a part is cut, noted, sent, noted as taken. Whatever ends the run in
// between, the next one sends the same part under the same name, so that nothing is left out and nothing is there twice.
import type { ChainTools, Link } from '../crypto/portable/audit-chain.ts'
import { chainStart } from '../crypto/portable/audit-chain.ts'
import { auditDeliveryBytesMax, auditDeliveryRecordsMax } from '../domain/limits.ts'
import type { DeliveryState } from '../schemas/audit-delivery.ts'
import { verifyExport } from './audit-file.ts'

/** What is sent at once. The name says which records it holds, and never names others. */
export type Part = {
  readonly name: string
  readonly tenant: string
  readonly from: Link
  readonly to: Link
  /** Lines of the export, with its opening line and its checkpoint. */
  readonly lines: readonly string[]
}

export type Delivery = {
  /** Records after the one, up to the other or the end of the chain. */
  readonly source: (after: number, to: number) => AsyncIterable<string>
  readonly tools: ChainTools
  readonly state: {
    /** Undefined at the first run. */
    readonly read: () => Promise<DeliveryState | undefined>
    readonly write: (state: DeliveryState) => Promise<void>
  }
  /** Which sink and form the state belongs to. */
  readonly sink: string
  readonly form: DeliveryState['form']
  /** Resolves when the sink has the part, whether from now or from before. */
  readonly send: (part: Part) => Promise<void>
  readonly recordsMax?: number
}

/** Evidence that must not be passed on: it does not stand, or does not continue what was sent. */
export class DeliveryFault extends Error {
  readonly code: 'broken' | 'other-sink'
  constructor(code: 'broken' | 'other-sink', sentence: string) {
    super(sentence)
    this.name = 'DeliveryFault'
    this.code = code
  }
}

export type Delivered = { readonly records: number; readonly parts: number; readonly seq: number }

/** Sends everything the sink does not have yet. Throws what the last try of a part threw; the state says how far it got. */
export async function deliver(delivery: Delivery): Promise<Delivered> {
  let state = await startOf(delivery)
  let [records, parts] = [0, 0]
  for (;;) {
    const part = await cut(delivery, state)
    if (part === undefined) return { records, parts, seq: state.seq }
    const { seq: to, sha256 } = part.to
    await delivery.state.write({ ...state, pending: { to, sha256 } })
    await delivery.send(part)
    state = { ...state, seq: to, sha256, pending: null }
    await delivery.state.write(state)
    records += part.to.seq - part.from.seq
    parts += 1
  }
}

async function startOf({ state, sink, form }: Delivery): Promise<DeliveryState> {
  const kept = await state.read()
  if (kept === undefined) return { version: 1, sink, form, ...chainStart, pending: null }
  if (kept.sink === sink && kept.form === form) return kept
  throw new DeliveryFault('other-sink', `The state is of ${kept.sink} in ${kept.form} form, not of this sink.`)
}

async function cut(delivery: Delivery, state: DeliveryState): Promise<Part | undefined> {
  const wanted = state.pending?.to ?? state.seq + (delivery.recordsMax ?? auditDeliveryRecordsMax)
  const lines: string[] = []
  let chars = 0
  const kept = async function* () {
    for await (const line of delivery.source(state.seq, wanted)) {
      chars += line.length
      if (chars > auditDeliveryBytesMax) throw new RangeError('A part is too large to be sent.')
      lines.push(line)
      yield line
    }
  }
  const previous = { seq: state.seq, sha256: state.sha256 }
  const verdict = await verifyExport(kept(), { tools: delivery.tools, previous })
  if (!verdict.ok) throw new DeliveryFault('broken', faultSentence(verdict.firstBrokenSeq, verdict.reason))
  const { to, from, tenant } = verdict
  if (state.pending !== null && (to.seq !== state.pending.to || to.sha256 !== state.pending.sha256))
    throw new DeliveryFault('broken', `Record ${state.pending.to} is not the one that was being sent.`)
  if (verdict.records === 0) return undefined
  return { name: nameOf(tenant, from, to), tenant, from, to, lines }
}

const faultSentence = (seq: number | null, reason: string) =>
  seq === null ? `The export is broken: ${reason}.` : `The chain is broken at record ${seq}: ${reason}.`

// The hash of the last record stands for all of them: one name, one content.
function nameOf(tenant: string, from: Link, to: Link): string {
  const folder = tenant.startsWith('anon-') ? 'redacted' : tenant.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 80)
  return `${folder}/${from.seq + 1}-${to.seq}-${to.sha256.slice(0, 32)}`
}
