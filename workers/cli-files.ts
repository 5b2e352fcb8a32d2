// Files of the command line that may be of any length: read and written in pieces, one piece in memory.
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { dirname } from 'node:path'
import type { Output } from '../cli/deps.ts'
import { FileError } from '../cli/exit-codes.ts'

/** The bytes of a file; undefined when there is none. */
export async function readBytes(path: string): Promise<AsyncIterable<Uint8Array> | undefined> {
  const stream = createReadStream(path)
  try {
    await once(stream, 'open')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError(path, error)
  }
  return readable(stream, path)
}

// A folder opens like a file, and fails at the first piece.
async function* readable(stream: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* stream
  } catch (error) {
    throw fileError(path, error)
  }
}

/** What went wrong with a file, in the command line's words. */
export function fileError(path: string, error: unknown): unknown {
  return error instanceof FileError ? error : new FileError(path, (error as NodeJS.ErrnoException).code, error)
}

/** A file that gets its name when it is whole. Readable by its owner alone. */
export async function openFile(path: string): Promise<Output> {
  await mkdir(dirname(path), { recursive: true })
  const draft = `${path}.${process.pid}.draft`
  await rm(draft, { force: true })
  const file = await open(draft, 'wx', 0o600)
  return {
    write: (text) => file.writeFile(text),
    async close() {
      await file.sync()
      await file.close()
      await rename(draft, path)
    },
    async abandon() {
      await file.close()
      await rm(draft, { force: true })
    },
  }
}

/** Standard output at the speed of its reader. A reader that left aborts `signal`. */
export function openStdout(signal: AbortSignal): Output {
  return {
    async write(text) {
      signal.throwIfAborted()
      if (!process.stdout.write(text)) await once(process.stdout, 'drain', { signal })
    },
    close: async () => undefined,
    abandon: async () => undefined,
  }
}
