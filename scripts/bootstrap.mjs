// The first thing every npm script runs; no dependencies. Checks Node, installs the locked packages when the lockfile
// changed, then runs the TypeScript entry named on the command line with its arguments, signals and exit code passed on.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const floor = [20, 19]

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < floor[0] || (major === floor[0] && minor < floor[1])) {
  tellOldNode(process.argv.slice(2))
  process.exitCode = 69
} else {
  const installed = install()
  if (installed === 0) run(process.argv.slice(2))
  else process.exitCode = installed
}

// Nothing else can run here, so what `doctor` would say is said in its place.
function tellOldNode([entry = '', ...args]) {
  const says = `Gatehouse needs Node ${floor.join('.')} or newer; this is ${process.versions.node}.`
  const mend = 'install a newer Node from https://nodejs.org or with a version manager'
  const isReport = entry.endsWith('doctor.ts') && args.includes('--json')
  const report = { ok: false, checks: [{ check: 'node', ok: false, says, mend }] }
  if (isReport) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else process.stderr.write(`${says}\n     → ${mend}\n`)
}

function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const mark = join(root, 'node_modules', '.gatehouse-lock')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return 0
  process.stderr.write('Installing the locked packages (npm ci) …\n')
  const startedAt = Date.now()
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) {
    process.stderr.write('npm ci failed; see above.\n')
    return result.status ?? 1
  }
  writeFileSync(mark, lock)
  process.stderr.write(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.\n`)
  return 0
}

function run([entry, ...args]) {
  if (entry === undefined) return
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, entry), ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  // The terminal sends Ctrl-C to the whole group: the child ends in its own time and we wait for it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}
