// The check of an expression at load: declared names, operand types, bounded work. The engine accepts undeclared names and
// answers errors at run time, as objects that are truthy; what can be known before is refused before.
import { policyConditionDepthMax, policyConditionNestingMax, policyConditionNodesMax } from '../../domain/limits.ts'
import type { Phase } from '../../domain/policy/rule.ts'
import { typeOfCall } from './calls.ts'
import { facts, narrowed } from './facts.ts'
import { pathOf } from './implied.ts'
import {
  bool,
  comparable,
  double,
  dyn,
  int,
  listOf,
  mixes,
  nameOf,
  nothing,
  string,
  unite,
  type Type,
} from './types.ts'
import { fault, type Expr, type Walk } from './walk.ts'

export type Checked = {
  readonly faults: readonly string[]
  /** How deep loops are nested: 0 without one. */
  readonly nesting: number
}

/** Checks a whole condition, which must come out true or false. */
export function checkExpression(expr: Expr, phases: readonly Phase[]): Checked {
  const notes = { faults: new Set<string>(), nodes: 0, nesting: 0 }
  const type = typeOf(expr, { phases, scope: new Map(), loops: 0, isRange: false, depth: 0, notes })
  if (type.kind !== 'bool' && type.kind !== 'dyn')
    notes.faults.add(`comes out as ${nameOf(type)}, not as true or false`)
  return { faults: [...notes.faults], nesting: notes.nesting }
}

const operandsOf = ({ target, args }: Kind<'callExpr'>['value']) => (target === undefined ? args : [target, ...args])
const oneOf = ([first = dyn, ...rest]: readonly Type[]): Type => rest.reduce(unite, first)

function typeOf(expr: Expr | undefined, outer: Walk): Type {
  const walk = { ...outer, depth: outer.depth + 1 }
  walk.notes.nodes += 1
  if (walk.notes.nodes === policyConditionNodesMax + 1)
    return fault(walk, `has more than ${policyConditionNodesMax} parts`)
  if (walk.depth > policyConditionDepthMax) return fault(walk, `is nested deeper than ${policyConditionDepthMax}`)
  if (walk.notes.nodes > policyConditionNodesMax) return dyn
  const kind = expr?.exprKind
  switch (kind?.case) {
    case 'constExpr':
      return typeOfConstant(kind.value, walk)
    case 'identExpr':
      return typeOfName(kind.value.name, walk)
    case 'selectExpr':
      return typeOfSelect(kind.value, walk)
    case 'callExpr':
      return typeOfCall(
        kind.value,
        operandsOf(kind.value).map((each) => typeOf(each, walk)),
        walk,
      )
    case 'listExpr':
      return typeOfList(
        kind.value.elements.map((each) => typeOf(each, walk)),
        walk,
      )
    case 'structExpr':
      return fault(walk, 'builds a map or a message, which a condition has no use for')
    case 'comprehensionExpr':
      return typeOfLoop(kind.value, walk)
    default:
      return fault(walk, 'has an empty part')
  }
}

function typeOfList(types: readonly Type[], walk: Walk): Type {
  const items = oneOf(types)
  const other = types.find((type) => types.some((each) => mixes(each, type)))
  return listOf(other === undefined ? items : fault(walk, `lists ${types.map(nameOf).join(' and ')} together`))
}

type Kind<C> = Extract<Expr['exprKind'], { case: C }>

function typeOfConstant({ constantKind }: Kind<'constExpr'>['value'], walk: Walk): Type {
  switch (constantKind.case) {
    case 'boolValue':
      return bool
    case 'int64Value':
      return int
    case 'doubleValue':
      return double
    case 'stringValue':
      return string
    case 'nullValue':
      return nothing
    default:
      return fault(walk, 'has a constant of a kind that no fact has')
  }
}

function typeOfName(name: string, walk: Walk): Type {
  const local = walk.scope.get(name)
  if (local) return local
  const fact = Object.hasOwn(facts, name) ? facts[name] : undefined
  if (!fact) return fault(walk, `reads ${name}, which is no fact`)
  return inPhases(name, fact.type, { walk, phases: fact.phases })
}

function inPhases(path: string, type: Type, { walk, phases }: { walk: Walk; phases: readonly Phase[] }): Type {
  const without = walk.phases.filter((phase) => !phases.includes(phase))
  if (without.length === 0) return type
  return fault(walk, `reads ${path}, which the ${without.join(' and the ')} phase does not have`)
}

function typeOfSelect({ operand, field, testOnly }: Kind<'selectExpr'>['value'], walk: Walk): Type {
  const owner = typeOf(operand, walk)
  const type = typeOfField(owner, field, walk)
  const path = pathOf(operand)
  const phases = path === undefined ? undefined : narrowed[`${path}.${field}`]
  const checked = phases === undefined ? type : inPhases(`${path}.${field}`, type, { walk, phases })
  return testOnly ? bool : checked
}

function typeOfField(owner: Type, field: string, walk: Walk): Type {
  if (owner.kind === 'dyn') return dyn
  if (owner.kind === 'map') return owner.values
  if (owner.kind !== 'object') return fault(walk, `reads ${field} of ${nameOf(owner)}`)
  const type = Object.hasOwn(owner.fields, field) ? owner.fields[field] : undefined
  return type ?? fault(walk, `reads ${owner.name}.${field}, which is no fact`)
}

// exists, all, exists_one, filter and map all arrive as this one form.
function typeOfLoop(loop: Kind<'comprehensionExpr'>['value'], walk: Walk): Type {
  const range = typeOf(loop.iterRange, { ...walk, isRange: true })
  const loops = walk.loops + 1
  walk.notes.nesting = Math.max(walk.notes.nesting, loops)
  if (loops > policyConditionNestingMax) {
    return fault(walk, `nests loops more than ${policyConditionNestingMax} deep`)
  }
  if (!['list', 'map', 'dyn'].includes(range.kind)) return fault(walk, `loops over ${nameOf(range)}`)
  const item = range.kind === 'list' ? range.items : range.kind === 'map' ? string : dyn
  const result = typeOf(loop.accuInit, walk)
  const scope = new Map(walk.scope).set(loop.iterVar, item).set(loop.accuVar, result)
  const inside = { ...walk, scope, loops, isRange: false }
  const step = typeOf(loop.loopStep, inside)
  typeOf(loop.loopCondition, inside)
  if (!comparable(result, step)) fault(walk, `a loop needs true or false, not ${nameOf(step)}`)
  return typeOf(loop.result, { ...inside, scope: new Map(scope).set(loop.accuVar, unite(result, step)) })
}
