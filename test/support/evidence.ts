// Evidence of one process on a database, with a spool folder of its own that goes with it.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createListener } from '../../db/pool.ts'
import { openEvidence, type EvidenceKeeper, type EvidenceOptions } from '../../gateway/evidence.ts'

type TestEvidence = Pick<EvidenceOptions, 'pool' | 'keys' | 'log'> & { readonly url: string }

/** Opens it in a new folder, removed at the end with what nobody sealed. */
export async function openTestEvidence({
  pool,
  url,
  keys,
  log,
}: TestEvidence): Promise<EvidenceKeeper & { readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-spool-'))
  const evidence = await openEvidence({ pool, keys, log, folder, connection: () => createListener(url) })
  return {
    ...evidence,
    folder,
    async [Symbol.asyncDispose]() {
      await evidence[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Lines of all spools in a folder. */
export async function spooledIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.spool'))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.flatMap((text) => text.split('\n')).filter((line) => line !== '')
}
