// The first thing every npm script runs; no dependencies. Checks Node, installs the locked packages when the lockfile
// changed, then runs the TypeScript entry named on the command line with its arguments, signals and exit code passed on.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const floor = [20, 19]
const waitMs = 300

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
  const lockfile = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const mark = join(root, 'node_modules', '.gatehouse-lock')
  const isInstalled = () => existsSync(mark) && readFileSync(mark, 'utf8') === lockfile
  if (isInstalled()) return 0
  const release = takeTurn()
  try {
    return isInstalled() ? 0 : installNow(mark, lockfile) // somebody else may have, while we waited
  } finally {
    release()
  }
}

function installNow(mark, lockfile) {
  process.stderr.write('Installing the locked packages (npm ci) …\n')
  const startedAt = Date.now()
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) {
    process.stderr.write(`npm ci failed; see above.${result.error ? ` (${result.error.message})` : ''}\n`)
    return result.status ?? 1
  }
  writeFileSync(mark, lockfile)
  process.stderr.write(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.\n`)
  return 0
}

// One install at a time in this clone: two would delete each other's files. The turn of a process that is gone is over.
function takeTurn() {
  const name = createHash('sha256').update(root).digest('hex').slice(0, 16)
  const file = join(tmpdir(), `gatehouse-install-${process.getuid?.() ?? 'user'}-${name}`)
  for (let told = false; ;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx', mode: 0o600 })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const owner = ownerOf(file)
    if (owner === undefined) {
      takeAway(file)
      continue
    }
    if (!told) process.stderr.write(`Process ${owner} installs the packages; waiting for it.\n`)
    told = true
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitMs)
  }
}

// The living process that has its turn.
function ownerOf(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    if (!Number.isInteger(pid) || pid <= 1) return undefined
    process.kill(pid, 0)
    return pid
  } catch (error) {
    return error.code === 'EPERM' ? 'of another user' : undefined
  }
}

// By its name, so that of two who do this none takes away what the other put there since.
function takeAway(file) {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    if (ownerOf(aside) !== undefined && !existsSync(file)) renameSync(aside, file)
    else rmSync(aside, { force: true })
  } catch {
    // Somebody else was faster.
  }
}

function run([entry, ...args]) {
  if (entry === undefined) return
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, entry), ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  // The terminal sends Ctrl-C to the whole group: the child ends in its own time and we wait for it.
  let told // the first signal: the others only say it again, and may meet the child when it listens no more
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      told ??= signal
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[told ?? signal]
  })
}
