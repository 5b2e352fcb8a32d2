#!/usr/bin/env node
// The `gatehouse` command of a clone: runs the command line from source. No dependencies of its own, so that a missing
// install is told plainly.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = join(dirname(realpathSync(fileURLToPath(import.meta.url))), '..')
if (!existsSync(join(root, 'node_modules', 'tsx'))) {
  process.stderr.write('The packages are not installed yet; run `npm start` first.\n')
  process.exitCode = 69
} else {
  const tsx = pathToFileURL(createRequire(join(root, 'package.json')).resolve('tsx')).href
  const child = spawn(process.execPath, ['--import', tsx, join(root, 'workers', 'cli.ts'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => (process.stdin.isTTY ? undefined : child.kill(signal)))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}
