// How the house test reads and judges imports. No parser: whatever could be an import counts as one, wherever it stands
// and whatever stands around it. Prose that only looks like one is written otherwise.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { plan, pseudoRooms, sheds } from './house-plan.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))

const gap = String.raw`(?:\s|//.*|/\*[\s\S]*?\*/)*`
const statement = new RegExp(String.raw`(?<![\w$.-])(?:from|import)${gap}(['"])(.*?)\1`, 'g')
// What must stand before `from` for types only. A comment in between makes it a run-time import: nothing is guessed.
const typeClause = /(?:^|[\n;])\s*(?:import|export)\s+type\s+(?:\{[\w$\s,]*\}|\*|\*\s+as\s+[\w$]+|[\w$]+)\s*$/
const hidden = new RegExp(
  String.raw`\b(?:import|require)${gap}\(${gap}(?:(['"])(.*?)\1)?|\b(?:createRequire|getBuiltinModule)\b`,
  'g',
)
const plainSpecifier = /^[\w@./:-]+$/ // no escape that another reader would resolve

/** Room of a path relative to the root: pseudo-rooms by longest prefix, else the first folder. */
export function roomOf(path: string): string {
  const pseudo = Object.keys(pseudoRooms)
    .filter((prefix) => path === prefix || (prefix.endsWith('/') && path.startsWith(prefix)))
    .toSorted((a, b) => b.length - a.length)[0]
  return pseudo === undefined ? (path.split('/')[0] ?? '') : (pseudoRooms[pseudo] ?? '')
}

/** Every trespass of one file, as `from → specifier`. */
export function trespasses(path: string, source: string): string[] {
  const found = [...source.matchAll(statement)].flatMap((match) => {
    const [, , specifier = ''] = match
    const typeOnly = typeClause.test(source.slice(0, match.index))
    return isOpen(path, specifier, typeOnly) ? [] : [`${path} → ${specifier}`]
  })
  return [...found, ...hiddenDoors(path, source)]
}

function isOpen(path: string, specifier: string, typeOnly: boolean): boolean {
  const from = roomOf(path)
  const doors = plan[from]
  if (doors === undefined || !(plainSpecifier.test(specifier) || doors.includes('*'))) return false
  const isRelative = specifier.startsWith('.')
  const target = isRelative ? normalize(join(dirname(path), specifier)) : ''
  if (isRelative && (target.startsWith('..') || !/\.(ts|tsx|json|css)$/.test(target))) return false
  const to = isRelative ? roomOf(target) : `npm:${packageOf(specifier)}`
  if (isRelative && to === from) return true
  if (isRelative && sheds.includes(to) && !sheds.includes(from)) return false
  const granted = (door: string) =>
    door === to || (door === '*' && isRelative) || (door === 'npm:*' && !isRelative) || coversScope(door, to)
  return doors.some((door) => granted(door) || (typeOnly && door.startsWith('type:') && granted(door.slice(5))))
}

const coversScope = (door: string, to: string) => door.endsWith('/*') && to.startsWith(door.slice(0, -1))

function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
}

// `import()` and `require()` hide an edge. Workers may load entries, web lazy pages, by literal relative specifiers.
// Whoever may import everything has nothing to hide.
function hiddenDoors(path: string, source: string): string[] {
  const room = roomOf(path)
  if (plan[room]?.includes('*') === true) return []
  return [...source.matchAll(hidden)].flatMap(([word, , specifier]) => {
    if (word === 'createRequire' && room === 'workers') return [] // finds files of packages, loads none
    const literal = specifier?.startsWith('.') === true && (room === 'workers' || room === 'web')
    return literal && isOpen(path, specifier, false) ? [] : [`${path} → ${specifier ?? 'a hidden door'}`]
  })
}

/** Source files below the root, relative, without what is generated or installed. */
export function sourceFiles(folder = root): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (name.startsWith('.') || name === 'node_modules' || name === 'dist') return []
    const path = join(folder, name)
    if (statSync(path).isDirectory()) return sourceFiles(path)
    return /\.tsx?$/.test(name) ? [relative(root, path)] : []
  })
}

export const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** A cycle in the plan's run-time edges, or null: nobody may grant a two-way door. */
export function cycleIn(edges: Readonly<Record<string, readonly string[]>>): string[] | null {
  const done = new Set<string>()
  const visit = (room: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(room)) return [...trail.slice(trail.indexOf(room)), room]
    if (done.has(room)) return null
    for (const next of edges[room] ?? []) {
      const cycle = visit(next, [...trail, room])
      if (cycle) return cycle
    }
    done.add(room)
    return null
  }
  for (const room of Object.keys(edges)) {
    const cycle = visit(room, [])
    if (cycle) return cycle
  }
  return null
}

/** Run-time edges between rooms of the plan. */
export function runtimeEdges(): Record<string, string[]> {
  const inner = Object.entries(plan).filter(([room]) => !sheds.includes(room))
  return Object.fromEntries(
    inner.map(([room, doors]) => [room, doors.filter((door) => !door.includes(':') && door !== '*')]),
  )
}
