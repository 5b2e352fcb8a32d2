// The events of a turn on a terminal, or as one JSON text per line.
import { formatMicros, type ChatEvent } from '../sdk/client.ts'
import type { CliDeps } from './deps.ts'
import { jsonText, oneLine, printNote, styled, type Style } from './output.ts'

export type Outcome = {
  /** `left`: nobody reads on, the turn may run. `failed`: it could not be read; a failure beside the output says why. */
  readonly state: 'done' | 'error' | 'cancelled' | 'left' | 'failed'
  readonly code?: string | undefined
  readonly exitCode: number
}

export type ChatView = {
  readonly session: (session: { readonly id: string; readonly agentId: string; readonly isNew: boolean }) => void
  readonly event: (event: ChatEvent) => void
  /** The stream ended without its last event. */
  readonly broken: () => void
  /** How the turn ended for who read it; also after a break. */
  readonly outcome: (outcome: Outcome & { readonly turnId: string | undefined }) => void
}

/** Chooses the form. */
export function createChatView(deps: CliDeps, { json }: { readonly json: boolean }): ChatView {
  return json ? jsonView(deps) : textView(deps)
}

function jsonView(deps: CliDeps): ChatView {
  const line = (value: unknown) => deps.out(`${jsonText(value)}\n`)
  return {
    session: ({ id, agentId }) => line({ type: 'session', data: { id, agentId } }),
    event: ({ type, id, data }) => line({ type, ...(id === undefined ? {} : { id }), data }),
    broken: () => undefined,
    outcome: ({ turnId = null, ...outcome }) => line({ type: 'outcome', data: { turnId, ...outcome } }),
  }
}

function textView(deps: CliDeps): ChatView {
  let isLineOpen = false
  const write = (text: string, style?: Style) => {
    if (text === '') return
    deps.out(styled(deps, text, style))
    isLineOpen = !text.endsWith('\n')
  }
  const line = (text: string, style?: Style) => {
    if (isLineOpen) write('\n')
    write(text, style)
    write('\n')
  }
  return {
    session({ id, agentId, isNew }) {
      if (isNew) printNote(deps, `Session ${id} (go on: npx --no gatehouse chat ${agentId} --session ${id})`)
    },
    event(event) {
      if (event.type === 'text') write(event.data)
      else if (event.type === 'error') {
        if (isLineOpen) write('\n')
        printNote(deps, `The turn ended: ${event.data.message}${event.data.code ? ` (${event.data.code})` : ''}`)
      } else {
        const said = lineOf(event, deps.isTty)
        if (said !== undefined) line(said, event.type === 'done' ? 'bold' : 'dim')
      }
    },
    broken() {
      if (isLineOpen) write('\n')
    },
    outcome: () => undefined,
  }
}

type Said = Exclude<ChatEvent, { readonly type: 'text' | 'error' }>

function lineOf(event: Said, isTty: boolean): string | undefined {
  switch (event.type) {
    case 'thinking':
    case 'planning':
      return isTty ? oneLine(event.data) : undefined
    case 'status':
      return statusLine(event.data)
    case 'tool_call':
      return `→ ${event.data.displayName ?? event.data.name} ${oneLine(JSON.stringify(event.data.args ?? {}))}`
    case 'tool_result':
      return `${event.data.isError === true ? '✗' : '←'} ${event.data.name} ${resultText(event.data)}`
    case 'tool_approval_request':
      return `Waits for approval of ${event.data.toolName} (${event.data.approvalId}).`
    case 'transaction_signing_request':
      return `Waits for a signature: ${event.data.description} (${event.data.approvalId}).`
    case 'done':
      return doneLine(event.data)
  }
}

function statusLine(data: Extract<ChatEvent, { type: 'status' }>['data']): string | undefined {
  if (data.code === 'turn_accepted') return undefined
  if (data.code === 'queued')
    return `Waits in the queue${data['position'] ? `, place ${String(data['position'])}` : ''}.`
  if (data.code === 'attempt_restarted') return 'The answer was interrupted and begins again:'
  if (data.code === 'duplicate_joined') return 'This message is being answered already; here is that answer:'
  return data.message ?? data.code
}

function resultText({ result, content }: Extract<ChatEvent, { type: 'tool_result' }>['data']): string {
  const value = result ?? content ?? ''
  return oneLine(typeof value === 'string' ? value : JSON.stringify(value))
}

function doneLine(data: Extract<ChatEvent, { type: 'done' }>['data']): string {
  const { usage, balanceRemaining: balance } = data
  const calls = data.toolCallCount ?? 0
  const parts = [
    `cost ${/^\d+$/.test(data.costRaw) ? formatMicros(data.costRaw) : data.cost}`,
    ...(calls > 0 ? [`${calls} tool ${calls === 1 ? 'call' : 'calls'}`] : []),
    ...(usage === undefined ? [] : [`${usage.inputTokens} tokens in, ${usage.outputTokens} out`]),
    data.model,
    ...(balance === null || balance === undefined ? [] : [`${formatMicros(balance)} left`]),
  ]
  return parts.join(' · ')
}
