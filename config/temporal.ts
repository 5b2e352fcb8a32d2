// What `temporal.yaml` says, checked.
import { parse } from 'yaml'
import { z } from 'zod'

const Queue = z.strictObject({
  workflows: z.boolean().default(false),
  activities: z.number().int().min(0).max(10_000),
  heartbeatThrottleMs: z.number().int().positive().default(1_000),
})

const Schedule = z.strictObject({
  workflow: z.string(),
  cron: z.string(),
  catchup: z.string().regex(/^\d+[mh]$/),
})

const TemporalSettings = z.strictObject({
  cli: z.string().regex(/^\d+\.\d+\.\d+$/),
  namespace: z.strictObject({ name: z.string(), retention: z.string().regex(/^\d+d$/) }),
  searchAttributes: z.record(
    z.string(),
    z.enum(['Keyword', 'KeywordList', 'Int', 'Bool', 'Text', 'Datetime', 'Double']),
  ),
  taskQueues: z.record(z.enum(['durable', 'llm', 'tools', 'ledger', 'control', 'batch']), Queue),
  schedules: z.record(z.string().regex(/^[a-z][a-z-]*$/), Schedule).default({}),
  dynamicConfig: z.record(z.string(), z.union([z.number(), z.boolean(), z.string()])),
})
export type TemporalSettings = z.output<typeof TemporalSettings>

/** Parses the file's text. Throws an Error that names every fault. */
export function parseTemporalSettings(text: string): TemporalSettings {
  const parsed = TemporalSettings.safeParse(parse(text))
  if (!parsed.success) throw new Error(`temporal.yaml: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}
