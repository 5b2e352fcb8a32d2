// Lines as they are typed on a terminal: keys are the bytes that a terminal sends.
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createLineEditor } from '../../workers/line-editor.ts'

const up = '\u001B[A'
const down = '\u001B[B'
const ctrlC = '\u0003'
const ctrlD = '\u0004'

function terminal(history: readonly string[] = []) {
  const input = new PassThrough()
  const output = new PassThrough()
  const editor = createLineEditor({ input, output }, history)
  const ask = (keys = '') => {
    const line = editor.ask('you> ')
    if (keys !== '') input.write(keys)
    return line
  }
  return { ask, input, output }
}
const text = (line: string) => ({ kind: 'text', text: line })

test('the arrow keys go through what was asked before and what was typed since', async () => {
  const { ask } = terminal(['first', 'second'])
  expect(await ask(`${up}\r`)).toEqual(text('second'))
  expect(await ask('third\r')).toEqual(text('third'))
  expect(await ask(`${up}${up}${up}\r`)).toEqual(text('first'))
  expect(await ask(`${up}${up}${down}!\r`)).toEqual(text('first!'))
})

test('Ctrl-C clears a line and ends an empty one; Ctrl-D ends the input', async () => {
  const { ask } = terminal()
  expect(await ask(`oops${ctrlC}right\r`)).toEqual(text('right'))
  expect(await ask(ctrlC)).toEqual({ kind: 'interrupt' })
  expect(await ask(ctrlD)).toEqual({ kind: 'end' })
})

test('lines that are pasted at once are lines one after another, and a begun one is kept', async () => {
  const { ask } = terminal()
  expect(await ask('one\rtwo\rthree\rfo')).toEqual(text('one'))
  expect([await ask(), await ask()]).toEqual([text('two'), text('three')])
  expect(await ask('ur\r')).toEqual(text('four'))
})

test('nobody listens to the terminal between two questions', async () => {
  const { ask, input } = terminal()
  await ask('one\r')
  expect(input.isPaused()).toBe(true)
  expect(input.listenerCount('keypress')).toBe(0)
})
