// Which parts of a running installation a changed file belongs to. Each part reads its files once, when it starts.
export type Part = 'api' | 'durable' | 'model' | 'tools'

/** `database`: a migration waits to be applied. `supervisor`: only a new start takes it in. */
export type Touched = Part | 'database' | 'supervisor'

const shared = ['domain', 'schemas', 'config', 'telemetry', 'crypto', 'db', 'clients', 'gateway', 'policy', 'agents']

/** Folders to follow. */
export const partFolders: readonly string[] = [...shared, 'api', 'activities', 'workflows', 'workers']

// The first that fits.
const rules: readonly (readonly [RegExp, readonly Touched[]])[] = [
  [/^db\/migrations\//, ['database', 'api', 'durable']],
  [new RegExp(`^(?:${shared.join('|')})/`), ['api', 'durable']],
  [/^workflows\/contract\.ts$/, ['api', 'durable']],
  [/^(?:activities|workflows)\//, ['durable']],
  [/^api\//, ['api']],
  [/^workers\/local\/scripted-/, ['model']],
  [/^workers\/local\/tool-server\./, ['tools']],
  [/^workers\/local\/loopback\./, ['model', 'tools']],
  [/^workers\/local\/stdio-guard\./, ['api', 'durable']],
  [/^workers\/(?:local\/|start\.|dev\.|prepare\.|migrate\.)/, ['supervisor']],
  [/^workers\/(?:doctor|status|reset|cli|audit-verify|ledger|bundle)\./, []],
  [/^workers\/api(?:-server)?\./, ['api']],
  [/^workers\/(?:durable|durable-worker|activities|bundle-cache|temporal|temporal-settings)\./, ['durable']],
  [/^workers\/process\./, ['api', 'durable', 'model', 'tools']],
  [/^workers\//, ['api', 'durable']],
]

/** Everything that the files touch, each once. */
export function touchedBy(paths: readonly string[]): ReadonlySet<Touched> {
  return new Set(paths.flatMap((path) => rules.find(([pattern]) => pattern.test(path))?.[1] ?? []))
}
