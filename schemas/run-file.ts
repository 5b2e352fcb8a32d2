// `<state>/run.json` as tools read it: where a running installation is. What they do not need passes through.
import { z } from 'zod'

export const RunFile = z.looseObject({
  api: z.array(z.string()).min(1),
  startedAt: z.string().nullish(),
  openapi: z.string().nullish(),
  temporalAddress: z.string().nullish(),
  temporalUi: z.string().nullish(),
  demo: z.array(z.looseObject({ name: z.string(), address: z.string(), keyFile: z.string() })).default([]),
})
export type RunFile = z.output<typeof RunFile>
