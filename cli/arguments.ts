// Words of the command line to values. `--json`, `--url` and `--help` belong to every command.
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { pageItemsMax, pageOffsetMax } from '../domain/limits.ts'
import { UsageError } from './exit-codes.ts'

type Options = NonNullable<ParseArgsConfig['options']>

const common = { json: { type: 'boolean' }, url: { type: 'string' } } as const satisfies Options

export type Expected<O extends Options> = {
  readonly options?: O
  /** Names of the words in their order; those in brackets may be left out. */
  readonly words?: readonly string[]
}

/** Parses, or throws UsageError with one sentence. */
export function parseWords<O extends Options = Record<string, never>>(args: readonly string[], expected: Expected<O>) {
  const { options = {} as O, words = [] } = expected
  const { values, positionals } = parsed(args, { ...common, ...options })
  const needed = words.filter((word) => !word.startsWith('['))
  const missing = needed[positionals.length]
  if (missing !== undefined) throw new UsageError(`<${missing}> is missing.`)
  const extra = positionals[words.length]
  if (extra !== undefined) throw new UsageError(`"${extra}" is one word too many.${extra === '' ? '' : quoting(words)}`)
  return { values, words: positionals }
}

const quoting = (words: readonly string[]) => (words.includes('[message]') ? ' Put the message in quotes.' : '')

function parsed<O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('. ', 1)[0] ?? '') : String(error))
  }
}

export const pageOptions = { limit: { type: 'string' }, offset: { type: 'string' } } as const satisfies Options

/** `--limit` and `--offset` as numbers. */
export function pageOf(values: { readonly limit?: string | undefined; readonly offset?: string | undefined }) {
  const limit = countOf('limit', values.limit, pageItemsMax)
  const offset = countOf('offset', values.offset, pageOffsetMax)
  return { ...(limit === undefined ? {} : { limit }), ...(offset === undefined ? {} : { offset }) }
}

function countOf(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text) && Number(text) <= max) return Number(text)
  throw new UsageError(`--${name} takes a whole number up to ${max}.`)
}

/** The subcommand and what follows it. */
export function subcommandOf<N extends string>(args: readonly string[], names: readonly N[]): [N, readonly string[]] {
  const found = names.find((name) => name === args[0])
  if (found !== undefined) return [found, args.slice(1)]
  const asked = args[0] === undefined ? 'A word is missing' : `"${args[0]}" is unknown`
  throw new UsageError(`${asked}; one of ${names.join(', ')} is expected.`)
}
