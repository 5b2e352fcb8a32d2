// `npm run build`: everything as JavaScript in `dist/`, with the data files that are read beside it, and the workflow
// bundle once as a check (a forbidden import fails it).
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflows } from '../workers/temporal.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
rmSync(join(root, 'dist'), { recursive: true, force: true })
execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
cpSync(join(root, 'db', 'migrations'), join(root, 'dist', 'db', 'migrations'), { recursive: true })
const { code } = await bundleWorkflows()
process.stdout.write(`Built dist/; the workflow bundle has ${(code.length / 1_000_000).toFixed(2)} MB.\n`)
