// What was said in a session.
import { messageCharsMax } from '../domain/limits.ts'
import type { Message } from '../sdk/client.ts'
import type { CliDeps } from './deps.ts'
import { oneLine, printLine } from './output.ts'

/** Each message under the name of who spoke. */
export function printTranscript(deps: CliDeps, messages: readonly Message[]): void {
  for (const message of messages) {
    printLine(deps, `\n${message.role}`, 'bold')
    for (const line of linesOf(message.content)) printLine(deps, line)
  }
}

/** The person's own messages, one line each and oldest first: what the arrow keys go through. */
export function askedBefore(messages: readonly Message[]): string[] {
  return messages
    .filter(({ role }) => role === 'user')
    .map(({ content }) => oneLine(linesOf(content).join(' '), messageCharsMax))
    .filter((line) => line !== '')
}

// A message is text, or blocks of text, tool calls and their results.
function linesOf(content: unknown): string[] {
  if (typeof content === 'string') return [content]
  return Array.isArray(content) ? content.map(blockText) : [JSON.stringify(content)]
}

function blockText(block: unknown): string {
  if (typeof block !== 'object' || block === null) return String(block)
  const { type, text, name, input, content } = block as Readonly<Record<string, unknown>>
  if (type === 'text' && typeof text === 'string') return text
  if (type === 'tool_use') return `→ ${String(name)} ${oneLine(JSON.stringify(input))}`
  if (type === 'tool_result') return `← ${oneLine(typeof content === 'string' ? content : JSON.stringify(content))}`
  return `[${String(type)}]`
}
