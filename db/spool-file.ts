// A spool file: evidence as lines, appended by one process, read by whoever seals it. It survives the death of the
// process, not that of the machine, so nothing is synced. Who takes a file over renames it first; a writer looks for its
// file's name after each write and before anybody relies on it. So each line is read by the taker or written elsewhere.
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  write,
} from 'node:fs'
import { join } from 'node:path'

const live = '.spool'
const taken = '.taken'
const rejected = '.rejected'
const shape = /^([0-9a-z-]{1,64})\.(?:spool|taken)$/

export type SpoolSource = {
  readonly id: string
  /** Bytes from an offset on, as many as there are up to `bytesMax`. */
  readonly read: (offset: number, bytesMax: number) => Promise<Buffer>
  /** Closes and removes the file once nothing of it is needed; kept under another name when it has unreadable lines. */
  readonly end: (kind: 'remove' | 'reject') => void
  /** Lets go of the file and leaves it where it is. */
  readonly close: () => void
}

export type SpoolFile = SpoolSource & {
  /** Length of what was appended whole. */
  readonly bytes: () => number
  /** False when the file was taken over: nobody may rely on what was written. Throws when writing fails; then nothing stands. */
  readonly append: (text: string) => Promise<boolean>
}

/** Makes a file of its own, readable by the owner only. Throws what the system says. */
export function createSpoolFile(folder: string, id: string): SpoolFile {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${id}${live}`)
  const descriptor = openDescriptor(path, 'wx+')
  let length = 0
  const append = async (text: string) => {
    const bytes = Buffer.from(text, 'utf8')
    try {
      await writeAll(descriptor.number, bytes, length)
    } catch (error) {
      ftruncateSync(descriptor.number, length)
      throw error
    }
    length += bytes.length
    return exists(path)
  }
  return {
    id,
    bytes: () => length,
    append: (text) => descriptor.use(() => append(text)),
    read: (offset, bytesMax) => descriptor.use(() => readSome(descriptor.number, offset, bytesMax)),
    end(kind) {
      descriptor.close()
      dispose(folder, path, kind)
    },
    close: descriptor.close,
  }
}

/** Takes over what another process left; undefined when it is gone. The caller holds the lock of the spool. */
export function takeSpoolFile(folder: string, id: string): SpoolSource | undefined {
  const path = join(folder, `${id}${taken}`)
  try {
    if (exists(join(folder, `${id}${live}`))) renameSync(join(folder, `${id}${live}`), path)
    const descriptor = openDescriptor(path, 'r')
    return {
      id,
      read: (offset, bytesMax) => descriptor.use(() => readSome(descriptor.number, offset, bytesMax)),
      end(kind) {
        descriptor.close()
        dispose(folder, path, kind)
      },
      close: descriptor.close,
    }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Ids of all spools in the folder, the newest first, and the bytes they hold. */
export function listSpools(folder: string): { readonly ids: readonly string[]; readonly bytes: number } {
  let bytes = 0
  const ids: string[] = []
  for (const name of namesIn(folder)) {
    const id = shape.exec(name)?.[1]
    if (id !== undefined) ids.push(id)
    bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0
  }
  return { ids: ids.toSorted().toReversed(), bytes }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

// A descriptor is closed when its last use is over, so that its number is never another file's while in use.
function openDescriptor(path: string, flags: string) {
  const number = openSync(path, flags, 0o600)
  let [uses, isClosing] = [0, false]
  const release = () => {
    if (isClosing && uses === 0) closeSync(number)
  }
  return {
    number,
    async use<T>(work: () => Promise<T>): Promise<T> {
      if (isClosing) throw new Error('The spool file is closed.')
      uses += 1
      try {
        return await work()
      } finally {
        uses -= 1
        release()
      }
    },
    close() {
      if (isClosing) return
      isClosing = true
      release()
    },
  }
}

async function writeAll(descriptor: number, bytes: Buffer, length: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    done += await new Promise<number>((resolve, reject) => {
      write(descriptor, bytes, done, bytes.length - done, length + done, (error, written) =>
        error ? reject(error) : resolve(written),
      )
    })
  }
}

function readSome(descriptor: number, offset: number, bytesMax: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytesMax)
  return new Promise((resolve, reject) => {
    read(descriptor, buffer, 0, bytesMax, offset, (error, count) =>
      error ? reject(error) : resolve(buffer.subarray(0, count)),
    )
  })
}

function dispose(folder: string, path: string, kind: 'remove' | 'reject'): void {
  try {
    if (kind === 'remove') unlinkSync(path)
    else renameSync(path, join(folder, `${path.slice(folder.length + 1)}${rejected}`))
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

const exists = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined
const isMissing = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT'
