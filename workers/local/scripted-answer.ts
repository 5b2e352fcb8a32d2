// What the scripted model says: deterministic, from the request alone. It adds with a tool when asked to add, writes or
// deletes a note when asked to, and otherwise says what it is.

import { z } from 'zod'

const WireBlock = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  content: z.unknown().optional(),
  is_error: z.boolean().optional(),
})
type WireBlock = z.output<typeof WireBlock>

const WireMessage = z.looseObject({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.string(), z.array(WireBlock).min(1)]),
})
type WireMessage = z.output<typeof WireMessage>

/** As much of a Messages request as the script reads; the vendor's other fields pass. */
export const WireRequest = z.looseObject({
  model: z.string().min(1),
  max_tokens: z.number().int().positive(),
  stream: z.boolean().optional(),
  system: z.unknown().optional(),
  messages: z.array(WireMessage).min(1),
  tools: z.array(z.looseObject({ name: z.string() })).optional(),
})
export type WireRequest = z.output<typeof WireRequest>

export type Scripted =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tool'; readonly name: string; readonly input: Readonly<Record<string, unknown>> }

/** Answers the last message of a request. */
export function scriptedAnswer(request: WireRequest): Scripted {
  const last = request.messages.at(-1)
  const results =
    typeof last?.content === 'string' ? [] : (last?.content ?? []).filter((block) => block.type === 'tool_result')
  if (results.length > 0) return { kind: 'text', text: results.map(sayResult).join('\n') }
  const asked = textOf(last)
  return askedTool(asked, request.tools?.map((tool) => tool.name) ?? []) ?? { kind: 'text', text: sayNothing(asked) }
}

function sayResult(block: WireBlock): string {
  const text = typeof block.content === 'string' ? block.content : JSON.stringify(block.content)
  return block.is_error === true ? `That did not work: ${text}` : text
}

function textOf(message: WireMessage | undefined): string {
  if (typeof message?.content === 'string') return message.content
  return (message?.content ?? []).flatMap((block) => (block.type === 'text' ? [block.text ?? ''] : [])).join('\n')
}

function askedTool(asked: string, offered: readonly string[]): Scripted | undefined {
  const preferred = /workbench/i.test(asked) ? 'workbench' : 'everything'
  const find = (...endings: string[]) => {
    const fitting = offered.filter((name) => endings.some((ending) => name.endsWith(`__${ending}`)))
    return fitting.find((name) => name.startsWith(preferred)) ?? fitting[0]
  }
  const numbers = [...asked.matchAll(/-?\d+(?:\.\d+)?/g)].map(([text]) => Number(text))
  const [a, b] = numbers
  const sum = find('get-sum', 'get_sum')
  if (/\b(add|sum|plus)\b/i.test(asked) && a !== undefined && b !== undefined && sum)
    return { kind: 'tool', name: sum, input: { a, b } }
  const name = /called (\S+)/i.exec(asked)?.[1] ?? 'note'
  const write = find('write_note')
  if (/\bwrite\b.*\bnote\b/i.test(asked) && write) return { kind: 'tool', name: write, input: { name, text: asked } }
  // A destructive tool is never offered; a model may name it all the same, and must be refused.
  if (/\bdelete\b.*\bnote\b/i.test(asked)) return { kind: 'tool', name: 'workbench__delete_note', input: { name } }
  return undefined
}

function sayNothing(asked: string): string {
  const quoted = asked.length > 200 ? `${asked.slice(0, 200)}…` : asked
  return `I am the scripted model of this installation: no provider key is configured, so I answer from a script. You said: "${quoted}". Ask me to add two numbers, and I will use a tool.`
}
