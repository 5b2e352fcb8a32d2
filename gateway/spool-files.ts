// The spool files of this process: one that is written, and those before it that are not sealed to their end. Each is a
// spool of its own with a lock of its own.
import { randomUUID } from 'node:crypto'
import { createSpoolFile, listSpools, type SpoolFile } from '../db/spool-file.ts'
import { spoolBytesMax, spoolFileBytesMax, spoolFolderBytesMax } from '../domain/limits.ts'
import { createSpoolReader, type SpoolReader } from './spool-reader.ts'

export type OwnFile = { readonly file: SpoolFile; readonly reader: SpoolReader }

export type SpoolFiles = {
  /** All that hold something, the oldest first; the last may still grow. */
  readonly all: () => readonly OwnFile[]
  /** The one to write to; made when there is none or the last is long enough. Throws when it cannot be made. */
  readonly open: () => OwnFile
  /** Writes the present one no further; what it holds is sealed. */
  readonly leave: () => void
  /** Lets go of files that belong to whoever has their lock now. */
  readonly lose: (ids: readonly string[]) => void
  /** What keeps a file that is no longer written and sealed up to there: intents whose outcomes will be elsewhere. */
  readonly keptBy: (own: OwnFile) => readonly string[]
  /** Removes a file that is sealed to its end and no longer written. True when it did. */
  readonly release: (own: OwnFile) => boolean
  /** Name of the next file, whose lock is already held. */
  readonly offer: (id: string) => void
  /** The name that was offered and not yet used. */
  readonly offered: () => string | undefined
  readonly isFull: () => boolean
}

export type SpoolBounds = {
  readonly folder: string
  /** Suites set lower ones. */
  readonly bytesMax?: number
  readonly fileBytesMax?: number
}

/** Names sort by their time. */
export const newSpoolId = () => `${Date.now().toString(36)}-${randomUUID()}`

const isRead = ({ file, reader }: OwnFile) => reader.offset() >= file.bytes()

export function createSpoolFiles(bounds: SpoolBounds): SpoolFiles {
  const { folder, bytesMax = spoolBytesMax, fileBytesMax = spoolFileBytesMax } = bounds
  let own: OwnFile[] = []
  let current: OwnFile | undefined
  let offered: string | undefined
  const drop = (each: OwnFile) => {
    own = own.filter((other) => other !== each)
    if (current === each) current = undefined
  }
  return {
    all: () => own,
    open() {
      if (current && current.file.bytes() < fileBytesMax) return current
      if (listSpools(folder).bytes >= spoolFolderBytesMax) throw new Error('The folder of the spools is full.')
      const file = createSpoolFile(folder, offered ?? newSpoolId())
      offered = undefined
      current = { file, reader: createSpoolReader(file) }
      own.push(current)
      return current
    },
    leave: () => void (current = undefined),
    lose(ids) {
      for (const each of own.filter(({ file }) => ids.includes(file.id))) {
        drop(each)
        each.file.close()
      }
      if (offered !== undefined && ids.includes(offered)) offered = undefined
    },
    keptBy: (each) => (each !== current && isRead(each) ? each.reader.open() : []),
    release(each) {
      if (each === current || !isRead(each) || !each.reader.isSettled()) return false
      drop(each)
      each.file.end(each.reader.unreadable() > 0 ? 'reject' : 'remove')
      return true
    },
    offer: (id) => void (offered = id),
    offered: () => offered,
    isFull: () => own.reduce((sum, { file }) => sum + file.bytes(), 0) >= bytesMax,
  }
}
