// What an expression says about the tool before anything else is asked: the names outside which it is false. `a && b` is
// false when one side is, even when the other is an error, so one side is enough; `a || b` needs both.
import type { Expr } from './walk.ts'

/** Names of tools outside which the expression is false; undefined when it may be true for any. */
export function impliedTools(expr: Expr | undefined): readonly string[] | undefined {
  const call = expr?.exprKind.case === 'callExpr' ? expr.exprKind.value : undefined
  const [left, right] = call?.args ?? []
  switch (call?.function) {
    case '_&&_':
      return impliedTools(left) ?? impliedTools(right)
    case '_||_': {
      const [a, b] = [impliedTools(left), impliedTools(right)]
      return a && b && [...a, ...b]
    }
    case '_==_':
      return named(left, right) ?? named(right, left)
    case '@in':
      return isToolName(left) && right?.exprKind.case === 'listExpr'
        ? textsOf(right.exprKind.value.elements)
        : undefined
    default:
      return undefined
  }
}

const named = (a: Expr | undefined, b: Expr | undefined) => (isToolName(a) && b ? textsOf([b]) : undefined)

function textsOf(exprs: readonly Expr[]): string[] | undefined {
  const texts = exprs.flatMap(({ exprKind }) =>
    exprKind.case === 'constExpr' && exprKind.value.constantKind.case === 'stringValue'
      ? [exprKind.value.constantKind.value]
      : [],
  )
  return texts.length === exprs.length ? texts : undefined
}

// `tool.name` or `mcp.tool.name`.
function isToolName(expr: Expr | undefined): boolean {
  return ['tool.name', 'mcp.tool.name'].includes(pathOf(expr) ?? '')
}

/** `mcp.tool` of the expression `mcp.tool`; undefined for anything but names and fields. */
export function pathOf(expr: Expr | undefined): string | undefined {
  const kind = expr?.exprKind
  if (kind?.case === 'identExpr') return kind.value.name
  if (kind?.case !== 'selectExpr' || kind.value.testOnly) return undefined
  const owner = pathOf(kind.value.operand)
  return owner === undefined ? undefined : `${owner}.${kind.value.field}`
}
