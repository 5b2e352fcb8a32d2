// Planted words that must be found nowhere: what forms they take in files, and the search for them.
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

export type Canary = { readonly name: string; readonly value: string }

/** Bytes that a canary may have become. */
export function canaryForms(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value)
  const utf16 = Buffer.from(value, 'utf16le')
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    const own = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const texts = new Set([
    hex,
    hex.toUpperCase(),
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    ...base64,
  ])
  return [bytes, utf16, Buffer.from(utf16).swap16(), ...[...texts].map((text) => Buffer.from(text))]
}

/** Canaries of one play: `core` stands in each of their values, so that one look tells whether any may be there. */
export type Canaries = { readonly core: string; readonly each: readonly Canary[] }

/** Names of the canaries that stand in these bytes, in any form. */
export function canariesIn(bytes: Buffer, { core, each }: Canaries): string[] {
  if (!canaryForms(core).some((form) => bytes.includes(form))) return []
  return each.filter(({ value }) => canaryForms(value).some((form) => bytes.includes(form))).map(({ name }) => name)
}

const keptBytes = 1_000 // more than the longest form, so that none falls between two pieces

/** `name in file` for each canary found below the folder. Sockets and files that vanish meanwhile hold nothing. */
export async function canariesBelow(folder: string, canaries: Canaries): Promise<string[]> {
  const found = new Set<string>()
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    for (const name of await canariesOfFile(file, canaries)) found.add(`${name} in ${file.slice(folder.length + 1)}`)
  }
  return [...found]
}

async function canariesOfFile(file: string, canaries: Canaries): Promise<readonly string[]> {
  const found = new Set<string>()
  let kept = Buffer.alloc(0)
  try {
    for await (const piece of createReadStream(file, { highWaterMark: 4_000_000 })) {
      const bytes = Buffer.concat([kept, piece as Buffer])
      for (const name of canariesIn(bytes, canaries)) found.add(name)
      kept = bytes.subarray(-keptBytes)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return [...found]
}
