// The Temporal CLI by the SDK's own download: it starts a server once, which leaves the binary in the folder.
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { TestWorkflowEnvironment } from '@temporalio/testing'

/** Answers the path of the downloaded binary. Throws when the vendor's site cannot be reached. */
export async function downloadTemporal({ version, folder }: { version: string; folder: string }): Promise<string> {
  await mkdir(folder, { recursive: true })
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', version: `v${version}`, downloadDir: folder } },
  })
  await environment.teardown()
  const [name] = (await readdir(folder)).filter((each) => each.startsWith('temporal-'))
  if (name === undefined) throw new Error('The download left no binary.')
  return join(folder, name)
}
