// Records histories of every workflow for the replay suite: `node --import tsx test/support/record-histories.ts`. They
// are kept per shipped version; what an older worker wrote must replay on the newest code.
import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Context } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js'
import { createBench, labelsOf, sessionHandle, turnHandle, type Activities, type Bench } from './durable-rig.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

type Script = 'answer' | 'tools' | 'refused' | 'endless'

// What the model of each turn does, by the turn.
const scripts = new Map<string, Script>()

const activities: Activities = {
  callModel: async ({ turnId, step }: { turnId: string; step: number }) => {
    const script = scripts.get(turnId) ?? 'answer'
    if (script === 'refused') throw ApplicationFailure.nonRetryable('The model answered 401.', 'upstream-refused')
    if (script === 'endless') {
      const context = Context.current()
      const beat = setInterval(() => context.heartbeat(), 50)
      await context.cancelled.finally(() => clearInterval(beat))
    }
    if (script === 'answer' || step > 1) return { kind: 'final' }
    return { kind: 'tools', calls: ['a', 'b'].map((toolCallId, position) => ({ toolCallId, position })) }
  },
  callTool: async () => undefined,
  finishTurn: async () => undefined,
  failTurn: async () => undefined,
}

async function record(bench: Bench): Promise<void> {
  const sessionId = randomUUID()
  const ids = { answer: randomUUID(), tools: randomUUID(), refused: randomUUID(), endless: randomUUID() }
  const runs: string[] = []
  for (const [script, turnId] of Object.entries(ids) as [Script, string][]) {
    scripts.set(turnId, script)
    const order = { labels: labelsOf(sessionId), turn: { turnId, try: 1 }, rollOverTurns: 3, timeoutMs: 10_000 }
    const submitted = await bench.durable.submitTurn(order)
    if (submitted.kind !== 'accepted') throw new Error(`A turn was ${submitted.kind}.`)
    runs.push((await sessionHandle(bench, sessionId).describe()).runId)
    if (script === 'endless') {
      await new Promise((resolve) => setTimeout(resolve, 300))
      await bench.durable.cancelTurn(sessionId, turnId)
    }
    await turnHandle(bench, sessionId, turnId).result()
    write('agent-turn', script, historyToJSON(await turnHandle(bench, sessionId, turnId).fetchHistory()))
  }
  await bench.durable.closeSession(sessionId)
  await sessionHandle(bench, sessionId).result()
  for (const [n, runId] of [...new Set(runs)].entries()) {
    const handle = bench.client.workflow.getHandle(`session:${sessionId}`, runId)
    write(
      'chat-session',
      ['rolls-over', 'cancels-and-closes'][n] ?? `run-${n}`,
      historyToJSON(await handle.fetchHistory()),
    )
  }
}

function write(workflow: string, name: string, json: string): void {
  const folder = join(root, 'test', 'workflows', 'histories', workflow, version)
  mkdirSync(folder, { recursive: true })
  // Whoever recorded is nobody's business.
  const text = json.replace(/"(identity|workerId|stickyQueueName|name)": "\d+@[^"]*"/g, '"$1": "recorder"')
  writeFileSync(join(folder, `${name}.json`), `${text}\n`)
}

await using bench = await createBench()
await bench.withWorkers(activities, () => record(bench))
