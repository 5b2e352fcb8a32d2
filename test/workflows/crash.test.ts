// A durable worker dies at a named moment of a turn; the next one finishes it: one answer, each step charged once, no
// hold left. Everything is real: processes, database, Temporal, the scripted model over HTTP, a tool server over HTTP.
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CrashPoint } from '../../activities/deps.ts'
import { createDurable, type Durable } from '../../clients/durable.ts'
import { createSeal } from '../../crypto/seal.ts'
import { createTracing } from '../../telemetry/tracing.ts'
import { startScriptedModel } from '../../workers/local/scripted-model.ts'
import { startToolServer } from '../../workers/local/tool-server.ts'
import { bundleWorkflows, payloadCodecOf, temporalPlugins } from '../../workers/temporal.ts'
import { scrubbedEnvironment, until } from '../support/installation.ts'
import { startTestTemporal } from '../support/temporal-server.ts'
import { createTurnRig, type OpenedTurn, type TurnRig } from '../support/turn-rig.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const masterKey = randomBytes(32)
const stateDir = mkdtempSync(join(tmpdir(), 'gatehouse-crash-'))
const ending = new AbortController()
const children: ChildProcess[] = []
const bundleFile = join(stateDir, 'bundle.js')
const urls = { model: '', tools: '' }

beforeAll(async () => {
  const { signal } = ending
  const [model, tools] = await Promise.all([
    startScriptedModel({ port: 0, signal }),
    startToolServer({ port: 0, signal }),
  ])
  const codec = payloadCodecOf(createSeal(masterKey))
  const { code } = await bundleWorkflows(temporalPlugins({ codec, tracing: createTracing({ name: 'test' }) }))
  writeFileSync(bundleFile, code)
  Object.assign(urls, { model: model.url, tools: tools.url })
})
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  ending.abort()
  rmSync(stateDir, { recursive: true, force: true })
})

/** What one scenario needs of its own: scenarios wait side by side, and workers take from every queue of their server. */
type Scene = AsyncDisposable & { readonly rig: TurnRig; readonly durable: Durable; readonly env: NodeJS.ProcessEnv }

async function createScene(): Promise<Scene> {
  const [temporal, rig] = await Promise.all([startTestTemporal(), createTurnRig({ masterKey })])
  const { address, namespace } = temporal
  const codec = payloadCodecOf(createSeal(masterKey))
  const plugins = temporalPlugins({ codec, tracing: createTracing({ name: 'test' }) })
  const durable = createDurable({ address, namespace, client: { plugins } })
  const env = scrubbedEnvironment({
    GATEHOUSE_STATE_DIR: stateDir,
    GATEHOUSE_MASTER_KEY: masterKey.toString('hex'),
    GATEHOUSE_MODEL_URL: urls.model,
    GATEHOUSE_TOOLS_URL: urls.tools,
    DATABASE_URL: rig.database.url,
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
    LOG_LEVEL: 'fatal',
  })
  return {
    rig,
    durable,
    env,
    async [Symbol.asyncDispose]() {
      await durable[Symbol.asyncDispose]()
      await rig[Symbol.asyncDispose]()
      await temporal[Symbol.asyncDispose]()
    },
  }
}

/** Starts a worker that will die at the point; `none` never does. Resolves when it polls. */
async function startWorker({ env }: Scene, point: CrashPoint | 'none'): Promise<ChildProcess> {
  const script = join(root, 'test/support/crash-worker.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, point, bundleFile], {
    cwd: root,
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  children.push(child)
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve())
    child.once('exit', (code) => reject(new Error(`The worker ended with ${code}.`)))
  })
  return child
}

const exited = (child: ChildProcess) =>
  new Promise<string | null>((resolve) => {
    if (child.signalCode !== null || child.exitCode !== null) resolve(child.signalCode)
    else child.once('exit', (_code, signal) => resolve(signal))
  })

async function modelCalls(about: string): Promise<number> {
  const { requests } = (await (await fetch(`${urls.model}/journal`)).json()) as { requests: { asked: string }[] }
  return requests.filter((line) => line.asked.includes(about)).length
}

async function expectSettled({ rig }: Scene, turn: OpenedTurn): Promise<void> {
  expect(await rig.ledger.faults()).toEqual([])
  expect(await rig.ledger.held(turn.wallet)).toBe(0n)
  const [row] = await rig.ledger.query('SELECT outcome, posted_micros FROM turn WHERE id = $1', [turn.turnId])
  expect(row?.['outcome']).toMatchObject({ status: 'done' })
  expect(await rig.ledger.available(turn.wallet)).toBe(1_000_000n - BigInt(String(row?.['posted_micros'])))
  const steps = await rig.ledger.query(
    "SELECT step, count(*)::int AS many FROM message WHERE turn_id = $1 AND kind = 'assistant' GROUP BY step ORDER BY step",
    [turn.turnId],
  )
  expect(steps.every((each) => each['many'] === 1)).toBe(true)
  const posts = await rig.ledger.query(
    "SELECT h.id FROM transfer h JOIN transfer p ON p.pending_id = h.id AND p.op = 'post' WHERE h.workflow_id = $1",
    [`${turn.turnId}:1`],
  )
  const results = await rig.ledger.query("SELECT 1 FROM message WHERE turn_id = $1 AND kind = 'tool'", [turn.turnId])
  expect(posts).toHaveLength(steps.length + results.length)
}

test.concurrent.each([
  { point: 'model-mid-stream', calls: 2 },
  { point: 'tool-before-record', calls: 1 },
] as const)(
  'a worker that dies at $point leaves one answer and one charge per step',
  async ({ point, calls }) => {
    await using scene = await createScene()
    const { rig, durable } = scene
    const name = `crash-${randomBytes(4).toString('hex')}`
    const turn = await rig.openTurn(point === 'tool-before-record' ? `add 2 and 40 on the workbench, ${name}` : name)
    const dying = await startWorker(scene, point)
    const ref = { turnId: turn.turnId, try: 1 }
    await durable.submitTurn({ labels: turn.labels, turn: ref, rollOverTurns: 200, timeoutMs: 9_000 })
    expect(await exited(dying)).toBe('SIGKILL')
    const next = await startWorker(scene, 'none')
    await until(async () => {
      const [row] = await rig.ledger.query('SELECT outcome FROM turn WHERE id = $1', [turn.turnId])
      return Boolean(row?.['outcome'])
    }, 30_000)
    await expectSettled(scene, turn)
    expect(await modelCalls(name)).toBe(calls)
    await until(async () => (await rig.events(turn.turnId)).at(-1)?.kind === 'turn_completed', 2_000)
    next.kill('SIGTERM')
    await exited(next)
  },
  60_000,
)
