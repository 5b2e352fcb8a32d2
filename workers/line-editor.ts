// Lines that a person types, with arrow keys through earlier ones. The terminal is taken only while somebody is asked:
// between questions it is as it was, so that Ctrl-C is a signal again.
import { createInterface } from 'node:readline'
import type { LineEditor, TypedLine } from '../cli/deps.ts'
import { inputHistoryLinesMax } from '../domain/limits.ts'

type Terminal = { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream }

/** `history` is oldest first. */
export function createLineEditor(terminal: Terminal, history: readonly string[]): LineEditor {
  let past = history.toReversed().slice(0, inputHistoryLinesMax)
  const pasted: string[] = [] // further lines that came at once
  let begun = ''
  const askNow = (prompt: string) =>
    new Promise<TypedLine>((resolve) => {
      const options = { terminal: true, historySize: inputHistoryLinesMax, removeHistoryDuplicates: true }
      const editor = createInterface({ ...terminal, ...options, prompt, history: past })
      let typed: TypedLine | undefined
      const finish = (line: TypedLine) => {
        typed = line
        // What was pasted with the line is still on its way through the editor.
        setImmediate(() => {
          begun = editor.line
          editor.close()
        })
      }
      editor.on('history', (lines: string[]) => (past = lines))
      editor.on('line', (text) => (typed === undefined ? finish({ kind: 'text', text }) : void pasted.push(text)))
      editor.on('SIGINT', () => {
        if (editor.line === '') return finish({ kind: 'interrupt' })
        editor.write(null, { ctrl: true, name: 'e' })
        editor.write(null, { ctrl: true, name: 'u' })
      })
      editor.once('close', () => {
        if (typed?.kind !== 'text') terminal.output.write('\n')
        resolve(typed ?? { kind: 'end' })
      })
      editor.prompt()
      if (begun !== '') editor.write(begun)
      begun = ''
    })
  return {
    async ask(prompt) {
      const text = pasted.shift()
      if (text === undefined) return askNow(prompt)
      terminal.output.write(`${prompt}${text}\n`)
      return { kind: 'text', text }
    },
  }
}
