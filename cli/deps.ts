// What a command may touch. Everything comes in from outside, so that a command is a function of its arguments.
import type { Fetch, Signer } from '../sdk/client.ts'

export type PrivateFile = {
  readonly text: string
  /** Whether group or others may read it. */
  readonly exposed: boolean
}

export type Output = {
  /** Resolves when more may be written. */
  readonly write: (text: string) => Promise<void>
  /** Ends it; a file gets its name only now. */
  readonly close: () => Promise<void>
  /** Leaves nothing behind. */
  readonly abandon: () => Promise<void>
}

export type TypedLine =
  | { readonly kind: 'text'; readonly text: string }
  /** Ctrl-C on an empty line. */
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'end' }

/** A line at a time, with arrow keys through earlier ones. The terminal is as it was whenever nobody is asked. */
export type LineEditor = { readonly ask: (prompt: string) => Promise<TypedLine> }

export type CliDeps = {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly fetch: Fetch
  /** Folder of credentials and keys. */
  readonly home: string
  /** State folder of a Gatehouse on this machine, where `run.json` is while it runs. */
  readonly stateDir: string
  /** GATEHOUSE_URL. */
  readonly url: string | undefined
  readonly version: string
  /** A path as it is found from any folder. */
  readonly absolute: (path: string) => string
  /** Undefined when the file does not exist. Throws FileError, as everything here that touches files. */
  readonly readFile: (path: string) => Promise<PrivateFile | undefined>
  /** Replaces the file in one step, readable by its owner alone; makes its folders. */
  readonly writePrivateFile: (path: string, text: string) => Promise<void>
  /** Runs `work` while no other command of this person does the same. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
  /** A file as it is read, in bounded memory; undefined when it does not exist. */
  readonly readBytes: (path: string) => Promise<AsyncIterable<Uint8Array> | undefined>
  /** A file readable by its owner alone, or with undefined the output of the command. */
  readonly openOutput: (path: string | undefined) => Promise<Output>
  readonly signerFromKey: (key: `0x${string}`) => Signer
  readonly newKey: () => `0x${string}`
  /** Whether a person looks at `out`. */
  readonly isTty: boolean
  /** Whether that person wants colours there. */
  readonly hasColours: boolean
  /** Whether a person types the input: prompts. */
  readonly isInputTty: boolean
  readonly inputLines: () => AsyncIterable<string>
  /** Opens an editor of lines; undefined where nobody types or what is typed could not be seen. */
  readonly openEditor: ((history: readonly string[]) => LineEditor) | undefined
  /** Aborts on an interrupt that nobody listens for, when told to end, and when nobody reads the output. */
  readonly signal: AbortSignal
  /** Takes interrupts over, until the returned function is called. */
  readonly onInterrupt: (heard: () => void) => () => void
  readonly now: () => Date
}

export type Command = {
  readonly summary: string
  /** Usage, options and examples. */
  readonly help: string
  readonly run: (deps: CliDeps, args: readonly string[]) => Promise<number>
}
