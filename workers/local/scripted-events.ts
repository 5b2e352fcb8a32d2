// The scripted answer in the vendor's wire form: the events of a stream in their order, or one whole message.
import { scriptedAnswer, type Scripted, type WireRequest } from './scripted-answer.ts'
import type { Control } from './scripted-control.ts'

const chunkChars = 12

export type Event = { readonly type: string } & Readonly<Record<string, unknown>>

export type Answering = { readonly body: WireRequest; readonly id: number; readonly control: Control }

/** About one token per four bytes. */
export const tokensOf = (value: unknown) => Math.ceil(Buffer.byteLength(JSON.stringify(value) ?? '') / 4)

const emptyOf = ({ body, id }: Answering) => ({
  id: `msg_${id}`,
  type: 'message',
  role: 'assistant',
  model: body.model,
  content: [] as unknown[],
  stop_reason: null as string | null,
  stop_sequence: null,
})

function usageOf({ body, control }: Answering, said: Scripted) {
  if (control.usage) return control.usage
  return {
    input_tokens: tokensOf({ system: body.system, messages: body.messages, tools: body.tools }),
    output_tokens: Math.min(body.max_tokens, tokensOf(said.kind === 'text' ? said.text : said.input)),
  }
}

const reasonOf = ({ control }: Answering, said: Scripted) =>
  said.kind === 'text' ? 'end_turn' : (control.tornTool ?? 'tool_use')

function answerOf({ body, control: { say } }: Answering): Scripted {
  if (typeof say === 'string') return { kind: 'text', text: say }
  const isAnswered = JSON.stringify(body.messages.at(-1)?.content).includes('"tool_result"')
  return say === null || isAnswered ? scriptedAnswer(body) : { kind: 'tool', name: say.tool, input: say.input }
}

/** message_start, ping, per block start, deltas, stop; message_delta with the sums; message_stop. */
export function* eventsOf(answering: Answering): Generator<Event> {
  const said = answerOf(answering)
  const usage = usageOf(answering, said)
  yield { type: 'message_start', message: { ...emptyOf(answering), usage: { ...usage, output_tokens: 1 } } }
  yield { type: 'ping' }
  yield* said.kind === 'text' ? textBlock(said.text, answering.control) : toolBlock(answering, said)
  yield { type: 'content_block_stop', index: 0 }
  // The sums again, without the split by life: as the vendor does.
  const { cache_creation: _split, ...sums } = { cache_creation: undefined, ...usage }
  yield {
    type: 'message_delta',
    delta: { stop_reason: reasonOf(answering, said), stop_sequence: null },
    usage: sums,
  }
  yield { type: 'message_stop' }
}

function* textBlock(text: string, control: Control): Generator<Event> {
  yield { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }
  const end = control.endless ? Number.POSITIVE_INFINITY : text.length
  for (let at = 0; at < end; at += chunkChars) {
    const from = at % text.length
    const said = { type: 'text_delta', text: text.slice(from, from + chunkChars) }
    yield { type: 'content_block_delta', index: 0, delta: said }
  }
}

function* toolBlock({ id, control }: Answering, said: Extract<Scripted, { kind: 'tool' }>): Generator<Event> {
  const block = { type: 'tool_use', id: `toolu_${id}`, name: said.name, input: {} }
  yield { type: 'content_block_start', index: 0, content_block: block }
  const json = JSON.stringify(said.input)
  const sent = control.tornTool === null ? json : json.slice(0, Math.ceil(json.length / 2))
  for (let at = 0; at < sent.length; at += chunkChars)
    yield {
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'input_json_delta', partial_json: sent.slice(at, at + chunkChars) },
    }
}

/** The same answer to a request that does not stream. */
export function wholeMessage(answering: Answering): Record<string, unknown> {
  const said = answerOf(answering)
  const block =
    said.kind === 'text'
      ? { type: 'text', text: said.text }
      : { type: 'tool_use', id: `toolu_${answering.id}`, name: said.name, input: said.input }
  return {
    ...emptyOf(answering),
    content: [block],
    stop_reason: reasonOf(answering, said),
    usage: usageOf(answering, said),
  }
}
