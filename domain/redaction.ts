// Takes known secrets out of text, whoever says them and however they were encoded: one pass of an automaton over all
// forms of all secrets (Aho and Corasick, 1975), which also works on text that arrives in pieces.
import { InvariantError } from './errors.ts'
import { redactedCharsMin, redactedSecretsMax } from './limits.ts'

export type KnownSecret = {
  /** What stands in its place: `[REDACTED:NAME]`. */
  readonly name: string
  readonly value: string
}

export type RedactedStream = {
  /** Answers what can be said now; what may be the beginning of a secret is held back. */
  readonly write: (piece: string) => string
  /** Answers what was held back. Half of a form or more, where the text breaks off, counts as the whole. */
  readonly end: () => string
}

export type Redactor = {
  readonly text: (text: string) => string
  /** A copy of a JSON value, its strings and the names of its members redacted. */
  readonly json: (value: unknown) => unknown
  readonly stream: () => RedactedStream
}

/** Makes the redactor of these secrets. Throws on one too short to be told from ordinary words, and on too many. */
export function createRedactor(secrets: readonly KnownSecret[]): Redactor {
  if (secrets.length > redactedSecretsMax) throw new InvariantError(`More than ${redactedSecretsMax} secrets.`)
  const root = automatonOf(secrets)
  const stream = () => createStream(root)
  const text = (whole: string) => {
    const once = stream()
    return once.write(whole) + once.end()
  }
  const json = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(json)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), json(member)]))
  }
  return { text, json, stream }
}

type State = {
  readonly next: Map<number, State>
  /** Length of the text that leads here. */
  readonly depth: number
  /** Where to go on when nothing here fits: the longest end of this text that begins a form too. */
  otherwise: State | undefined
  /** The longest form that ends here. */
  found: Form | undefined
  /** The shortest form that leads through here. */
  begun: Form | undefined
}

type Form = { readonly name: string; readonly length: number }

const stateAt = (depth: number): State => ({
  next: new Map(),
  depth,
  otherwise: undefined,
  found: undefined,
  begun: undefined,
})

function automatonOf(secrets: readonly KnownSecret[]): State {
  const root = stateAt(0)
  for (const { name, value } of secrets) {
    if (value.length < redactedCharsMin) throw new InvariantError(`The secret ${name} is too short to be looked for.`)
    for (const form of formsOf(value)) plant(root, form, name)
  }
  const waiting = [...root.next.values()]
  for (const state of waiting) state.otherwise = root
  for (let at = 0; at < waiting.length; at += 1) {
    const state = waiting[at] as State
    for (const [code, next] of state.next) {
      next.otherwise = follow(state.otherwise ?? root, code)
      next.found ??= next.otherwise.found
      waiting.push(next)
    }
  }
  return root
}

function plant(root: State, form: string, name: string): void {
  const own = { name, length: form.length }
  let state = root
  for (let at = 0; at < form.length; at += 1) {
    const code = form.charCodeAt(at)
    const next = state.next.get(code) ?? stateAt(at + 1)
    state.next.set(code, next)
    state = next
    if ((state.begun?.length ?? Infinity) > own.length) state.begun = own
  }
  state.found ??= own
}

function follow(from: State, code: number): State {
  let state = from
  for (;;) {
    const next = state.next.get(code)
    if (next) return next
    if (!state.otherwise) return state
    state = state.otherwise
  }
}

type Mark = { start: number; end: number; readonly name: string; isSaid: boolean }

function createStream(root: State): RedactedStream {
  let state = root
  let held = ''
  let heldFrom = 0 // place of `held` in the whole text
  let marks: Mark[] = []
  const release = (upTo: number): string => {
    let out = ''
    let at = heldFrom
    for (const mark of marks) {
      if (mark.start >= upTo) break
      out += held.slice(at - heldFrom, mark.start - heldFrom)
      if (!mark.isSaid) out += `[REDACTED:${mark.name}]`
      at = Math.min(mark.end, upTo)
      Object.assign(mark, { isSaid: true, start: at }) // its rest is swallowed when it comes
    }
    out += held.slice(at - heldFrom, upTo - heldFrom)
    held = held.slice(upTo - heldFrom)
    heldFrom = upTo
    marks = marks.filter(({ end }) => end > upTo)
    return out
  }
  return {
    write(piece) {
      const from = heldFrom + held.length
      held += piece
      for (let at = 0; at < piece.length; at += 1) {
        state = follow(state, piece.charCodeAt(at))
        if (state.found) mark(marks, { ...state.found, end: from + at + 1 })
      }
      return release(from + piece.length - state.depth)
    },
    end() {
      const end = heldFrom + held.length
      for (let at: State | undefined = state; at; at = at.otherwise) {
        const { begun, depth } = at
        if (begun && depth * 2 >= begun.length) mark(marks, { name: begun.name, length: depth, end })
      }
      state = root
      return release(end)
    },
  }
}

// Forms that overlap are one.
function mark(marks: Mark[], { name, length, end }: Form & { readonly end: number }): void {
  let start = end - length
  let first: Mark | undefined
  while ((marks.at(-1)?.end ?? -1) > start) {
    first = marks.pop() as Mark
    start = Math.min(start, first.start)
  }
  marks.push({ start, end, name: first?.name ?? name, isSaid: first?.isSaid ?? false })
}

// Plain, as JSON and URLs escape it, hexadecimal, and Base64 of either alphabet wherever it begins among other bytes.
function formsOf(value: string): ReadonlySet<string> {
  const bytes = new TextEncoder().encode(value)
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  const url = encodeURIComponent(new TextDecoder().decode(bytes)) // a lone surrogate has no escape
  return new Set([
    value,
    JSON.stringify(value).slice(1, -1),
    url,
    url.replaceAll(/%../g, (escape) => escape.toLowerCase()),
    hex,
    hex.toUpperCase(),
    ...[0, 1, 2].flatMap((before) => base64Of(bytes, before)),
  ])
}

// The characters that do not depend on the neighbours: each holds six bits.
function base64Of(bytes: Uint8Array, before: number): readonly string[] {
  const padded = new Uint8Array([...new Uint8Array(before), ...bytes])
  const text = btoa(String.fromCharCode(...padded))
  const own = text.slice(Math.ceil((before * 8) / 6), Math.floor((padded.length * 8) / 6))
  return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
}
