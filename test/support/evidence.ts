// Evidence of one process on a database, with a spool folder of its own that goes with it.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createListener } from '../../db/pool.ts'
import { openEvidence, type EvidenceKeeper, type EvidenceOptions } from '../../gateway/evidence.ts'

type TestEvidence = Pick<EvidenceOptions, 'pool' | 'keys' | 'log' | 'bytesMax' | 'fileBytesMax'> & {
  readonly url: string
  /** Given, it is left where it is. */
  readonly folder?: string | undefined
}

/** Opens it, in a new folder that is removed at the end unless one is given. */
export async function openTestEvidence({
  url,
  folder,
  ...options
}: TestEvidence): Promise<EvidenceKeeper & { readonly folder: string }> {
  const used = folder ?? (await newSpoolFolder())
  const evidence = await openEvidence({ ...options, folder: used, connection: () => createListener(url, 'test-spool') })
  return {
    ...evidence,
    folder: used,
    async [Symbol.asyncDispose]() {
      await evidence[Symbol.asyncDispose]()
      if (folder === undefined) await rm(used, { recursive: true, force: true })
    },
  }
}

export const newSpoolFolder = () => mkdtemp(join(tmpdir(), 'gatehouse-spool-'))

/** Lines of all spools in a folder. */
export async function spooledIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.spool'))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.flatMap((text) => text.split('\n')).filter((line) => line !== '')
}
