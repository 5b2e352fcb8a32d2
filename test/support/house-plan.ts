// Who may import whom: the plan of the house. `room` opens another room, `type:room` only its types, `npm:package` a
// package or a built-in, `type:npm:package` only its types. Everything that is not listed is closed.

export const plan: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  schemas: ['domain', 'npm:zod'],
  contract: ['domain', 'type:schemas', 'npm:@temporalio/workflow'],
  portable: ['domain', 'schemas', 'npm:jose'],
  config: ['domain', 'schemas', 'npm:zod', 'npm:yaml', 'npm:node:util'],
  telemetry: [
    'domain',
    'type:config',
    'npm:pino',
    'npm:@opentelemetry/api',
    'npm:@opentelemetry/context-async-hooks',
    'npm:@opentelemetry/core',
    'npm:@opentelemetry/exporter-trace-otlp-http',
    'npm:@opentelemetry/resources',
    'npm:@opentelemetry/sdk-trace-base',
  ],
  crypto: [
    'domain',
    'schemas',
    'portable',
    'npm:jose',
    'npm:viem',
    'npm:zod',
    'npm:@temporalio/proto',
    'type:npm:@temporalio/common',
    'npm:node:crypto',
  ],
  db: ['domain', 'schemas', 'npm:pg', 'npm:kysely', 'npm:node:fs', 'npm:node:path', 'npm:node:url'],
  clients: [
    'domain',
    'schemas',
    'contract',
    'crypto',
    'portable',
    'npm:viem',
    'npm:undici',
    'npm:@anthropic-ai/sdk',
    'npm:@modelcontextprotocol/client',
    'npm:@temporalio/client',
    'type:npm:@temporalio/common',
    'type:telemetry',
    'npm:node:net',
    'npm:node:tls',
    'npm:node:dns',
    'npm:node:fs',
    'npm:node:os',
    'npm:node:path',
  ],
  gateway: [
    'domain',
    'schemas',
    'crypto',
    'portable',
    'db',
    'type:clients',
    'type:telemetry',
    'type:config',
    'npm:@bufbuild/cel',
    'npm:node:crypto',
  ],
  activities: [
    ...[
      'domain',
      'schemas',
      'contract',
      'crypto',
      'portable',
      'db',
      'gateway',
      'type:clients',
      'type:telemetry',
      'type:config',
    ],
    'npm:@temporalio/activity',
    'npm:@temporalio/common',
  ],
  workflows: [
    'domain',
    'contract',
    'type:schemas',
    'type:activities',
    'npm:@temporalio/workflow',
    'npm:@temporalio/common',
  ],
  api: [
    ...[
      'domain',
      'schemas',
      'contract',
      'crypto',
      'portable',
      'db',
      'gateway',
      'type:clients',
      'type:telemetry',
      'type:config',
    ],
    'npm:express',
    'type:npm:zod',
    'npm:zod',
    'npm:node:crypto',
    'npm:node:http',
  ],
  cli: [
    'domain',
    'schemas',
    'contract',
    'portable',
    'sdk',
    'type:config',
    'type:telemetry',
    'type:db',
    'type:clients',
    'npm:node:util',
  ],
  workers: [
    'domain',
    'schemas',
    'contract',
    'portable',
    'config',
    'telemetry',
    'crypto',
    'db',
    'clients',
    'gateway',
    'activities',
    'workflows',
    'api',
    'cli',
    'sdk',
    'npm:*',
  ],
  sdk: ['domain', 'schemas', 'portable', 'npm:zod', 'npm:jose'],
  examples: ['npm:@gatehouse/sdk'],
  test: ['*', 'npm:*'],
  bench: ['*', 'npm:*'],
  scripts: ['*', 'npm:*'],
}

/** Rooms inside rooms, by longest prefix. */
export const pseudoRooms: Readonly<Record<string, string>> = {
  'workflows/contract.ts': 'contract',
  'crypto/portable/': 'portable',
}

/** Rooms whose files nobody imports. */
export const sheds: readonly string[] = ['test', 'bench', 'scripts', 'examples']

/** The table that ARCHITECTURE.md quotes. */
export function printPlan(): string {
  const rows = Object.entries(plan).map(([room, doors]) => {
    const rooms = doors.filter((door) => !door.includes('npm:'))
    const packages = doors.filter((door) => door.includes('npm:')).map((door) => door.replace('npm:', ''))
    const say = (list: readonly string[]) =>
      list.length === 0 ? '–' : list.map((each) => (each === '*' ? 'everything' : `\`${each}\``)).join(' ')
    return `| \`${room}\` | ${say(rooms)} | ${say(packages)} |`
  })
  return ['| room | may import | packages and built-ins |', '|---|---|---|', ...rows].join('\n')
}
