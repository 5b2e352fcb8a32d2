// Operators and functions of expressions: which there are, what they take, what comes out. What is not here is refused.
import { celEnv, isCelError, parse, plan } from '@bufbuild/cel'
import { policyConditionNestingMax, policyPatternCharsMax } from '../../domain/limits.ts'
import { bool, comparable, double, dyn, int, isNumber, mixes, nameOf, string, unite, type Type } from './types.ts'
import { fault, type Expr, type Walk } from './walk.ts'

type CallExpr = Extract<Expr['exprKind'], { case: 'callExpr' }>['value']

type Typed = { readonly name: string; readonly types: readonly Type[]; readonly call: CallExpr; readonly walk: Walk }

/** The type of an operator or a function, from the types of its operands, target first. */
export function typeOfCall(call: CallExpr, types: readonly Type[], walk: Walk): Type {
  const name = call.function
  const known = functions[name]
  if (known === undefined) return fault(walk, `uses ${shown(name)}, which conditions do not have`)
  const [arity, judge] = known
  if (types.length !== arity) return fault(walk, `gives ${shown(name)} ${types.length} operands instead of ${arity}`)
  return judge({ name, types, call, walk })
}

const shown = (name: string) => name.replaceAll('_', ' ').replace('@in', 'in').trim()
const wrong = ({ name, types, walk }: Typed) => fault(walk, `gives ${shown(name)} ${types.map(nameOf).join(' and ')}`)

const logic = (typed: Typed): Type =>
  typed.types.every(({ kind }) => kind === 'bool' || kind === 'dyn') ? bool : wrong(typed)
const texts = (typed: Typed): Type =>
  typed.types.every(({ kind }) => kind === 'string' || kind === 'dyn') ? bool : wrong(typed)

const lists = 'searches or compares a whole list inside loops, which is a loop more'

// Whether an operand may be a list that is the same in every round: as long as any, so that to look through it is a loop.
function isWhole(expr: Expr | undefined, type: Type, { scope, loops }: Walk): boolean {
  if (loops < policyConditionNestingMax || !['list', 'map', 'dyn'].includes(type.kind)) return false
  if (expr?.exprKind.case === 'listExpr') return false
  const root = rootOf(expr)
  return root === undefined || !scope.has(root)
}

function rootOf(expr: Expr | undefined): string | undefined {
  const kind = expr?.exprKind
  if (kind?.case === 'identExpr') return kind.value.name
  if (kind?.case === 'selectExpr') return rootOf(kind.value.operand)
  return kind?.case === 'callExpr' && kind.value.function === '_[_]' ? rootOf(kind.value.args[0]) : undefined
}

function equality(typed: Typed): Type {
  const [a = dyn, b = dyn] = typed.types
  const [left, right] = typed.call.args
  if (isWhole(left, a, typed.walk) && isWhole(right, b, typed.walk)) return fault(typed.walk, lists)
  return comparable(a, b) ? bool : wrong(typed)
}

function order(typed: Typed): Type {
  const [a = dyn, b = dyn] = typed.types
  const ordered = (type: Type) => isNumber(type) || type.kind === 'string' || type.kind === 'dyn'
  return ordered(a) && ordered(b) && comparable(a, b) ? bool : wrong(typed)
}

// Ints and doubles do not mix: the engine has no such overload.
function arithmetic(typed: Typed): Type {
  const [a = dyn, b = a] = typed.types
  if (a.kind === 'dyn' && b.kind === 'dyn') return dyn
  if (a.kind === 'dyn') return isNumber(b) ? b : wrong(typed)
  return isNumber(a) && (b.kind === 'dyn' || b.kind === a.kind) ? a : wrong(typed)
}

// Joined texts and lists inside a loop grow with every round, and a joined list that is looped over is longer than any
// list that was counted. Only the loop's own result, which no author can name, may grow.
function plus(typed: Typed): Type {
  const [a = dyn, b = dyn] = typed.types
  if (isNumber(a) || isNumber(b)) return arithmetic(typed)
  const left = typed.call.args[0]?.exprKind
  const isAccumulating = left?.case === 'identExpr' && left.value.name === '@result'
  if (typed.walk.loops > 0 && !isAccumulating) return fault(typed.walk, 'joins texts or lists inside a loop')
  if (typed.walk.isRange && !isAccumulating) return fault(typed.walk, 'loops over joined lists')
  if (a.kind === 'dyn' || b.kind === 'dyn') return dyn
  return a.kind === b.kind && (a.kind === 'string' || a.kind === 'list') ? unite(a, b) : wrong(typed)
}

function choice(typed: Typed): Type {
  const [condition = dyn, yes = dyn, no = dyn] = typed.types
  if (mixes(yes, no)) return fault(typed.walk, `chooses between ${nameOf(yes)} and ${nameOf(no)}`)
  return condition.kind === 'bool' || condition.kind === 'dyn' ? unite(yes, no) : wrong(typed)
}

function membership(typed: Typed): Type {
  const [item = dyn, whole = dyn] = typed.types
  if (isWhole(typed.call.args[1], whole, typed.walk)) return fault(typed.walk, lists)
  if (whole.kind === 'dyn') return bool
  if (whole.kind === 'map') return comparable(item, string) ? bool : wrong(typed)
  return whole.kind === 'list' && comparable(item, whole.items) ? bool : wrong(typed)
}

function element(typed: Typed): Type {
  const [whole = dyn, key = dyn] = typed.types
  if (whole.kind === 'dyn') return dyn
  if (whole.kind === 'list') return key.kind === 'int' || key.kind === 'dyn' ? whole.items : wrong(typed)
  return whole.kind === 'map' && (key.kind === 'string' || key.kind === 'dyn') ? whole.values : wrong(typed)
}

function size(typed: Typed): Type {
  const sized = ['string', 'list', 'map', 'dyn'].includes(typed.types[0]?.kind ?? '')
  return sized ? int : wrong(typed)
}

// The pattern is written in the policy, not taken from a call, and RE2 can run it: linear in the text.
function pattern(typed: Typed): Type {
  const constant = typed.call.args.at(-1)?.exprKind
  const value = constant?.case === 'constExpr' ? constant.value.constantKind : undefined
  if (value?.case !== 'stringValue') return fault(typed.walk, 'matches a pattern that is not written out')
  if (value.value.length > policyPatternCharsMax) {
    return fault(typed.walk, `has a pattern of more than ${policyPatternCharsMax} characters`)
  }
  if (!runs(value.value))
    return fault(typed.walk, `has the pattern ${JSON.stringify(value.value)}, which RE2 does not take`)
  return texts(typed)
}

function runs(text: string): boolean {
  try {
    return !isCelError(plan(celEnv(), parse(`"".matches(${JSON.stringify(text)})`))({}))
  } catch {
    return false
  }
}

const converted =
  (to: Type) =>
  (typed: Typed): Type => {
    const { kind } = typed.types[0] ?? dyn
    return ['string', 'int', 'double', 'bool', 'dyn'].includes(kind) ? to : wrong(typed)
  }

const functions: Readonly<Record<string, readonly [arity: number, judge: (typed: Typed) => Type]>> = {
  '_&&_': [2, logic],
  '_||_': [2, logic],
  '!_': [1, logic],
  '@not_strictly_false': [1, logic],
  '_?_:_': [3, choice],
  '_==_': [2, equality],
  '_!=_': [2, equality],
  '_<_': [2, order],
  '_<=_': [2, order],
  '_>_': [2, order],
  '_>=_': [2, order],
  '_+_': [2, plus],
  '_-_': [2, arithmetic],
  '_*_': [2, arithmetic],
  '_/_': [2, arithmetic],
  '_%_': [2, arithmetic],
  '-_': [1, arithmetic],
  '@in': [2, membership],
  '_[_]': [2, element],
  size: [1, size],
  contains: [2, texts],
  startsWith: [2, texts],
  endsWith: [2, texts],
  matches: [2, pattern],
  string: [1, converted(string)],
  int: [1, converted(int)],
  double: [1, converted(double)],
}
