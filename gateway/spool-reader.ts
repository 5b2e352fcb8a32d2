// Reads a spool up to its last whole line and joins intents with their outcomes. What is ready stays until it is said to
// be sealed, so that a failed transaction loses nothing.
import { wellFormed } from '../crypto/evidence.ts'
import { canonicalJson } from '../crypto/portable/canonical-json.ts'
import type { SpoolSource } from '../db/spool-file.ts'
import { spoolLineCharsMax, spoolReadBytes } from '../domain/limits.ts'
import { SpoolLine } from '../schemas/audit.ts'

/** One decision on its way into the chain. `outcome` is null when nobody says how it ended. */
export type Evidence = {
  readonly id: string
  readonly intent: Readonly<Record<string, unknown>>
  readonly outcome: Readonly<Record<string, unknown>> | null
}

export type SpoolReader = {
  /** Answers what is ready; reads on to the last whole line when nothing is. One caller at a time. */
  readonly look: () => Promise<readonly Evidence[]>
  /** Says that these are in the chain, or that another spool has more of them. */
  readonly settle: (ids: Iterable<string>) => void
  /** Gives up waiting for outcomes: intents read before `beforeMs` of the monotonic clock are ready as they are. */
  readonly giveUp: (beforeMs: number) => void
  /** What was read and waits for its outcome. */
  readonly open: () => readonly string[]
  /** Where the next line begins. */
  readonly offset: () => number
  /** Nothing read waits for an outcome or for sealing. */
  readonly isSettled: () => boolean
  /** Whole lines that nobody could read. */
  readonly unreadable: () => number
}

type Opened = { readonly intent: Evidence['intent']; readonly readAtMs: number }

export function createSpoolReader(source: Pick<SpoolSource, 'read'>): SpoolReader {
  const opened = new Map<string, Opened>()
  const ready = new Map<string, Evidence>()
  let [offset, unreadable] = [0, 0]
  const take = (line: Buffer) => {
    if (line.length === 0) return // a probe
    const read = readLine(line)
    if (!read) return void (unreadable += 1)
    const { id, outcome } = read
    const intent = read.intent ?? opened.get(id)?.intent
    if (!intent) return void (unreadable += 1)
    if (!outcome) return void opened.set(id, { intent, readAtMs: performance.now() })
    opened.delete(id)
    ready.set(id, { id, intent, outcome })
  }
  const readOn = async () => {
    const bytes = await readLines(source, offset)
    offset += bytes.length
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(0x0a, from)
      take(bytes.subarray(from, end))
      from = end + 1
    }
    return bytes.length > 0
  }
  return {
    async look() {
      while (ready.size === 0 && (await readOn())) continue
      return [...ready.values()]
    },
    settle(ids) {
      for (const id of ids) {
        ready.delete(id)
        opened.delete(id)
      }
    },
    giveUp(beforeMs) {
      for (const [id, { intent, readAtMs }] of opened) {
        if (readAtMs > beforeMs) continue
        opened.delete(id)
        ready.set(id, { id, intent, outcome: null })
      }
    },
    open: () => [...opened.keys()],
    offset: () => offset,
    isSettled: () => opened.size === 0 && ready.size === 0,
    unreadable: () => unreadable,
  }
}

// Whole lines only: what a dying process left behind its last line end was not relied on by anybody.
async function readLines(source: Pick<SpoolSource, 'read'>, offset: number): Promise<Buffer> {
  const bytes = await source.read(offset, spoolReadBytes)
  const end = bytes.lastIndexOf(0x0a)
  if (end >= 0) return bytes.subarray(0, end + 1)
  if (bytes.length < spoolReadBytes) return bytes.subarray(0, 0)
  const more = await source.read(offset, spoolReadBytes + 3 * spoolLineCharsMax)
  return more.subarray(0, more.lastIndexOf(0x0a) + 1)
}

// Escapes of what neither canonical JSON nor the database holds: half of a surrogate pair, and NUL.
const unsayable = /\\u(?:d[89a-f]|0000)/i

function readLine(line: Buffer) {
  try {
    const text = line.toString('utf8')
    return SpoolLine.safeParse(unsayable.test(text) ? readUnsayable(text) : JSON.parse(text)).data
  } catch {
    return undefined
  }
}

// One such character must not keep all that comes after it out of the chain. Throws when it is part of a member's name.
function readUnsayable(text: string): unknown {
  const value: unknown = JSON.parse(text, (_name, each: unknown) =>
    typeof each === 'string' ? wellFormed(each) : each,
  )
  canonicalJson(value)
  return value
}
