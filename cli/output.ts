// Text for people and JSON for programs. Whatever a server, a model or a tool says is stripped of control characters
// before it reaches a terminal: an answer must not move the cursor or rewrite what was printed.
import type { CliDeps } from './deps.ts'

export type Style = 'plain' | 'dim' | 'bold' | 'red'

const codes: Readonly<Record<Style, string>> = { plain: '', dim: '\u001B[2m', bold: '\u001B[1m', red: '\u001B[31m' }
const reset = '\u001B[0m'

/** Text without control characters except line feed and tab, and without marks that turn the writing direction. */
function clean(text: string): string {
  return text.replaceAll(/(?![\n\t])\p{Cc}|[\u202A-\u202E\u2066-\u2069]/gu, '')
}

// Beside what JSON escapes itself: control characters of 8 bits, line separators (one text is one line for every reader)
// and marks that turn the writing direction.
const unsafeInJson = /[\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu
const escaped = (mark: string) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`

/** JSON that may be shown on a terminal: the same value, with everything that could command one escaped. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replaceAll(unsafeInJson, escaped)
}

/** Clean text, styled when a person looks and wants colours. */
export function styled(deps: Pick<CliDeps, 'hasColours'>, text: string, style: Style = 'plain'): string {
  return deps.hasColours && style !== 'plain' ? `${codes[style]}${clean(text)}${reset}` : clean(text)
}

export function printLine(deps: CliDeps, text: string, style: Style = 'plain'): void {
  deps.out(`${styled(deps, text, style)}\n`)
}

/** Remarks go beside the output, so that a pipe carries data only. */
export function printNote(deps: CliDeps, text: string): void {
  deps.err(`${clean(text)}\n`)
}

export function printJson(deps: CliDeps, value: unknown): void {
  deps.out(`${jsonText(value, 2)}\n`)
}

/** Columns as wide as their widest cell, headings above; nothing at all says so. */
export function printTable(
  deps: CliDeps,
  { headings, rows, empty }: { headings: readonly string[]; rows: readonly (readonly string[])[]; empty: string },
): void {
  if (rows.length === 0) {
    printLine(deps, empty, 'dim')
    return
  }
  const cells = rows.map((row) => row.map((cell) => oneLine(cell)))
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  const lineOf = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === headings.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  printLine(deps, lineOf(headings), 'dim')
  for (const row of cells) printLine(deps, lineOf(row))
}

/** Names and values, one pair a line; pairs without a value are left out. */
export function printFacts(deps: CliDeps, facts: readonly (readonly [string, string | null | undefined])[]): void {
  const present = facts.filter(([, value]) => value !== null && value !== undefined && value !== '')
  const width = Math.max(0, ...present.map(([name]) => name.length))
  for (const [name, value] of present) printLine(deps, `${name.padEnd(width)}  ${oneLine(value ?? '')}`.trimEnd())
}

/** A text on one line, shortened. */
export function oneLine(text: string, charsMax = 400): string {
  const flat = clean(text).replaceAll(/\s+/g, ' ').trim()
  return flat.length <= charsMax ? flat : `${flat.slice(0, charsMax - 1)}…`
}

/** `2026-01-31T12:00:00.000Z` → `2026-01-31 12:00`. */
export function timeOf(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return ''
  const at = new Date(value)
  return Number.isNaN(at.getTime()) ? String(value) : at.toISOString().slice(0, 16).replace('T', ' ')
}
