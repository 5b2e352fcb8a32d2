// `npm run build`: everything as JavaScript in `dist/`, with the migrations and the workflow bundle beside it. A forbidden
// import in a workflow fails the bundle.
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const run = (file: string, args: readonly string[]) => execFileSync(file, args, { cwd: root, stdio: 'inherit' })
rmSync(join(root, 'dist'), { recursive: true, force: true })
run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'])
cpSync(join(root, 'db', 'migrations'), join(root, 'dist', 'db', 'migrations'), { recursive: true })
run(process.execPath, [join(root, 'dist', 'workers', 'bundle.js')])
const { size } = statSync(join(root, 'dist', 'workflow-bundle.js'))
process.stdout.write(`Built dist/; the workflow bundle has ${(size / 1_000_000).toFixed(2)} MB.\n`)
