// Line by line: a message, its answer, the next one. On a terminal a line is edited, words with a slash are for us, and
// a refusal ends its turn and not the conversation.
import { GatehouseError, type Image } from '../sdk/client.ts'
import { complain } from './complaint.ts'
import type { CliDeps, TypedLine } from './deps.ts'
import { exitCodes, UsageError } from './exit-codes.ts'
import { refuseTooLarge } from './images.ts'
import { printNote } from './output.ts'
import { isSlashCommand, runSlashCommand } from './slash.ts'
import { followTurn, type Talk } from './turn.ts'

export type Beginning = {
  /** What the arrow keys reach at first, oldest first. */
  readonly history?: readonly string[]
  /** Images of the first message. */
  readonly images?: readonly Image[]
  /** The exit code so far. */
  readonly code?: number
  readonly json: boolean
}

const prompt = 'you> '

/** Until the input ends, a line says /quit, or an interrupt. The exit code is that of the last turn. */
export async function converse(talk: Talk, beginning: Beginning): Promise<number> {
  const lines = linesOf(talk.deps, beginning.history ?? [])
  let { images = [] } = beginning
  let code: number = beginning.code ?? exitCodes.ok
  try {
    for (;;) {
      const line = await lines.next()
      if (line.kind === 'interrupt') return leave(talk)
      if (line.kind === 'end' || line.text.trim() === '/quit') return code
      if (line.text.trim() === '') continue
      if (talk.deps.isInputTty && isSlashCommand(line.text)) {
        await forgiving(talk, beginning, () => runSlashCommand(talk, line.text.trim()))
        continue
      }
      const message = talk.deps.isInputTty ? line.text.replace(/^\/\//, '/') : line.text
      const sent = images
      code = await forgiving(talk, beginning, async () => {
        const turnCode = await sendMessage(talk, message, sent)
        images = [] // a message that was refused keeps them for the next one
        return turnCode
      })
      if (talk.deps.signal.aborted || (code === exitCodes.cancelled && !talk.deps.isInputTty)) return code
    }
  } finally {
    await lines.close()
  }
}

/** Sends one message and tells its turn. */
export async function sendMessage(talk: Talk, message: string, images: readonly Image[]): Promise<number> {
  refuseTooLarge(message, images)
  const more = { scopeId: talk.scopeId, ...(images.length === 0 ? {} : { images }) }
  const { exitCode } = await followTurn(talk, (signal) => talk.client.chat(talk.session, message, { signal, ...more }))
  return exitCode
}

function leave(talk: Talk): number {
  if (talk.deps.openEditor !== undefined) printNote(talk.deps, `Come back: ${talk.wayBack}`)
  return exitCodes.cancelled
}

// A person reads the refusal and may do something about it; without a session or a sign-in nothing can go on.
async function forgiving(talk: Talk, { json }: Beginning, work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!talk.deps.isInputTty || talk.deps.signal.aborted || isOver(error)) throw error
    return complain(talk.deps, error, { json, usage: 'chat --help' })
  }
}

function isOver(error: unknown): boolean {
  if (error instanceof UsageError) return false
  return !(error instanceof GatehouseError) || error.status === 401 || error.status === 404
}

type Lines = { readonly next: () => Promise<TypedLine>; readonly close: () => Promise<void> }

function linesOf(deps: CliDeps, history: readonly string[]): Lines {
  const editor = deps.openEditor?.(history)
  if (editor) return { next: () => editor.ask(prompt), close: async () => undefined }
  const lines = deps.inputLines()[Symbol.asyncIterator]()
  return {
    async next() {
      if (deps.isInputTty) deps.err(prompt)
      const line = await lines.next()
      if (line.done !== true) return { kind: 'text', text: line.value }
      return { kind: deps.signal.aborted ? 'interrupt' : 'end' }
    },
    close: async () => void (await lines.return?.()),
  }
}
