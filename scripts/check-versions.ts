// Dependencies are exact, and the packages that break when two versions meet have one: every @temporalio package and
// protobufjs 8 (two registries of the same messages crash at import).
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

type Manifest = Readonly<Record<string, Record<string, string> | undefined>>
type Lock = { readonly packages: Readonly<Record<string, { readonly version?: string }>> }

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8')
const faults: string[] = []

for (const file of ['package.json', 'sdk/package.json']) {
  const manifest = JSON.parse(read(file)) as Manifest
  for (const group of ['dependencies', 'devDependencies', 'optionalDependencies']) {
    const loose = Object.entries(manifest[group] ?? {}).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    )
    faults.push(...loose.map(([name, version]) => `${file}: ${name} is ${version}, not exact`))
  }
}

const versions = new Map<string, Set<string>>()
for (const [path, entry] of Object.entries((JSON.parse(read('package-lock.json')) as Lock).packages)) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const single = name.startsWith('@temporalio/') || (name === 'protobufjs' && entry.version?.startsWith('8.') === true)
  if (single && entry.version !== undefined) versions.set(name, (versions.get(name) ?? new Set()).add(entry.version))
}
for (const [name, found] of versions) if (found.size > 1) faults.push(`${name} has versions ${[...found].join(', ')}`)
const temporal = new Set(
  [...versions].filter(([name]) => name.startsWith('@temporalio/')).flatMap(([, found]) => [...found]),
)
if (temporal.size > 1) faults.push(`@temporalio packages differ: ${[...temporal].join(', ')}`)

process.stdout.write(faults.length === 0 ? 'All versions are exact and single.\n' : `${faults.join('\n')}\n`)
process.exitCode = faults.length === 0 ? 0 : 1
