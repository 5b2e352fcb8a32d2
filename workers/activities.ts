// The activities of the durable worker with what they need.
import { join } from 'node:path'
import type { Durable } from '../clients/durable.ts'
import { createModelUpstream, platformCredential } from '../clients/models.ts'
import { redactedModel, redactedTools } from '../clients/redacted.ts'
import { createToolUpstreams, type ToolUpstreams } from '../clients/tools.ts'
import type { Config } from '../config/load.ts'
import { knownSecrets } from '../config/secrets.ts'
import { createRedactor } from '../domain/redaction.ts'
import { createAuditActivities } from '../activities/audit.ts'
import { createLedgerActivities } from '../activities/ledger.ts'
import { endLostTurns } from '../activities/lost-turns.ts'
import { createModelActivities } from '../activities/model.ts'
import type { ActivityDeps, CrashPoint } from '../activities/deps.ts'
import { createSessionUpkeepActivities } from '../activities/session-upkeep.ts'
import { createToolActivities } from '../activities/tool.ts'
import { createTurnActivities } from '../activities/turn.ts'
import { createToolOffer } from '../gateway/tool-offer.ts'
import type { Logger } from '../telemetry/log.ts'
import { readAgents, readPrices, readToolCatalogue, root } from './files.ts'
import type { Services } from './services.ts'

export type Activities = {
  readonly activities: Record<string, (...args: never[]) => Promise<unknown>>
  readonly tools: ToolUpstreams
}

type Options = {
  readonly services: Services
  readonly config: Config
  readonly log: Logger
  readonly crashPoint: (name: CrashPoint) => void
  readonly durable: Pick<Durable, 'carriesTurn'>
}

/** Wires the activities; the caller disposes of the tool servers. */
export async function wireActivities({ services, config, log, crashPoint, durable }: Options): Promise<Activities> {
  const catalogue = await readToolCatalogue(config.toolsUrl)
  const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LANG: 'C.UTF-8', TZ: 'UTC' }
  const guard = { command: process.execPath, args: [join(root, 'workers', 'local', 'stdio-guard.mjs')] }
  const redactor = createRedactor(knownSecrets(config))
  const servers = { servers: catalogue.servers, environment, guard, log: log.child({ room: 'tools' }) }
  const tools = redactedTools(createToolUpstreams(servers), redactor)
  const key = config.secrets.anthropicApiKey?.reveal() ?? 'scripted' // the scripted model wants one, and believes any
  const model = createModelUpstream({ baseUrl: config.model.baseUrl, credential: platformCredential(key) })
  const deps: ActivityDeps = {
    pool: services.pool,
    pipeline: services.pipeline,
    members: services.members,
    bus: services.bus,
    transcripts: services.transcripts,
    model: redactedModel(model, redactor),
    tools,
    offer: createToolOffer({ tools, classes: catalogue.classes, policy: services.policy, log }),
    agents: await readAgents(),
    prices: await readPrices(config.model.kind),
    events: services.events,
    carriesTurn: durable.carriesTurn,
    tracing: services.tracing,
    crashPoint,
    today: () => services.clock().toISOString().slice(0, 10),
  }
  return {
    activities: {
      ...createModelActivities(deps),
      ...createToolActivities(deps),
      ...createTurnActivities(deps),
      ...createLedgerActivities({ ...deps, endLostTurns: () => endLostTurns(deps) }),
      ...createAuditActivities(deps),
      ...createSessionUpkeepActivities({ ...services }),
    },
    tools,
  }
}
