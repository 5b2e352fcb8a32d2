// `npm test`: every check and every suite, in order, to the end. A check counts as one; suites count by their runner's
// report. The last line is the sum; anything failed, or a suite that ran nothing, fails the run.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

type Count = { passed: number; failed: number }

const root = fileURLToPath(new URL('..', import.meta.url))
const reports = mkdtempSync(join(tmpdir(), 'gatehouse-report-'))
const bin = (name: string) => join(root, 'node_modules', '.bin', name)

// Suites see no vendor key and no setting of this machine; a database given on purpose stays.
const foreign = /^(GATEHOUSE_|TEMPORAL_|ANTHROPIC_|OPENAI_|OTEL_|AWS_|AZURE_|GOOGLE_)|_API_KEY$|^NODE_OPTIONS$/
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))

const checks: readonly (readonly [string, readonly string[]])[] = [
  ['format', [bin('oxfmt'), '--check', '.']],
  ['lint', [bin('oxlint'), '--type-aware', '--deny-warnings']],
  ['types', [bin('tsc'), '--noEmit', '-p', '.']],
  ['unused code', [bin('knip')]],
  ['versions', [process.execPath, '--import', 'tsx', 'scripts/check-versions.ts']],
]

type Suite = {
  readonly name: string
  /** What it takes and leaves out, as its runner is told. */
  readonly filters: readonly string[]
  /** Files at once. Where short times are asserted, one: the machine has two cores, and what runs beside would count. */
  readonly workers: 1 | 2
  /** Whether each file gets a process of its own, because the libraries beneath keep state of one process. */
  readonly isolate: boolean
}

// They assert times that a busy neighbour would stretch.
const timed = [
  'clients/tools',
  ...['audit', 'audit-kill', 'audit-redact', 'epochs', 'expression', 'policies', 'policy-reload', 'quota'].map(
    (name) => `gateway/${name}`,
  ),
].map((name) => `test/${name}.test.ts`)

// Whole installations in which nothing has to happen within seconds.
const patient = ['cli-chat', 'crash-turn', 'resend', 'secrets'].map((name) => `test/e2e/${name}.test.ts`)

// Suites with a Temporal server come last: a cold build of it runs beside the others.
const suites: readonly Suite[] = [
  {
    name: 'rooms',
    filters: ['test/{workflows,e2e,contracts}/**', ...timed].flatMap((left) => ['--exclude', left]),
    workers: 2,
    isolate: false,
  },
  { name: 'rooms by the clock', filters: timed, workers: 1, isolate: false },
  { name: 'durable', filters: ['test/workflows/'], workers: 2, isolate: true },
  { name: 'whole installations', filters: ['test/contracts/', ...patient], workers: 2, isolate: true },
  {
    name: 'whole installations by the clock',
    filters: ['test/e2e/', ...patient.flatMap((left) => ['--exclude', left])],
    workers: 1,
    isolate: true,
  },
]

async function run(command: readonly string[], quiet = false): Promise<{ code: number; text: string }> {
  const [file = '', ...args] = command
  const child = spawn(file, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  const take = (chunk: Buffer) => {
    text += chunk.toString('utf8')
    if (!quiet) process.stdout.write(chunk)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const code = await new Promise<number>((resolve) => child.on('close', (value) => resolve(value ?? 1)))
  return { code, text }
}

async function check(name: string, command: readonly string[]): Promise<Count> {
  const startedAt = performance.now()
  const { code, text } = await run(command, true)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  process.stdout.write(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)\n${code === 0 ? '' : text}`)
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

async function suite({ name, filters, workers, isolate }: Suite): Promise<Count> {
  process.stdout.write(`\n== ${name}\n`)
  const file = join(reports, `${name.replaceAll(' ', '-')}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const together = workers === 1 ? [] : ['--fileParallelism', `--maxWorkers=${workers}`]
  const alone = isolate ? [] : ['--no-isolate']
  const { code } = await run([bin('vitest'), 'run', ...reporters, ...together, ...alone, ...filters])
  const report = readReport(file)
  // A runner that failed outside a test, or ran none, is a failure of its own.
  const extra = report.failed === 0 && (code !== 0 || report.passed === 0) ? 1 : 0
  return { passed: report.passed, failed: report.failed + extra }
}

const ran: string[] = []

function readReport(file: string): Count {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    for (const { name } of report.testResults) ran.push(relative(root, name))
    const { numPassedTests, numFailedTests, numPendingTests } = report
    return { passed: Number(numPassedTests), failed: Number(numFailedTests) + Number(numPendingTests) }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

// A file that no group takes would be forgotten in silence, one that two take would count twice.
function everyFileOnce(): Count {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', name))
  const wrong = files.filter((file) => ran.filter((each) => each === file).length !== 1)
  process.stdout.write(`\n${wrong.length === 0 ? 'ok  ' : 'FAIL'} every file once\n${wrong.join('\n')}`)
  return wrong.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

// Two lanes: lint takes as long as the others together.
async function checkAll(): Promise<Count[]> {
  const lanes = [checks.filter(([name]) => name === 'lint'), checks.filter(([name]) => name !== 'lint')]
  const counts = await Promise.all(
    lanes.map(async (lane) => {
      const own: Count[] = []
      for (const [name, command] of lane) own.push(await check(name, command))
      return own
    }),
  )
  return counts.flat()
}

const startedAt = performance.now()
const counts: Count[] = []
const temporal = run([process.execPath, '--import', 'tsx', 'scripts/find-temporal.ts'], true)
counts.push(...(await checkAll()))
for (const each of suites) {
  if (each.name === 'durable') {
    const found = await temporal
    process.stdout.write(`\n== Temporal CLI\n${found.text}`)
    counts.push(found.code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 })
    counts.push(await check('build', [process.execPath, '--import', 'tsx', 'scripts/build.ts']))
  }
  counts.push(await suite(each))
}
counts.push(everyFileOnce())
rmSync(reports, { recursive: true, force: true })
const sum = counts.reduce((all, count) => ({ passed: all.passed + count.passed, failed: all.failed + count.failed }))
process.exitCode = sum.failed === 0 ? 0 : 1
process.stdout.write(
  `\nin ${((performance.now() - startedAt) / 1000).toFixed(0)} s\n${sum.passed} passed, ${sum.failed} failed\n`,
)
