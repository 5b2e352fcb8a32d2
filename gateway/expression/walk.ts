// One walk over a syntax tree: what is in force at a part of it, and what was noted so far.
import type { parse } from '@bufbuild/cel'
import type { Phase } from '../../domain/policy/rule.ts'
import { dyn, type Type } from './types.ts'

export type Expr = ReturnType<typeof parse>['expr']

export type Walk = {
  readonly phases: readonly Phase[]
  /** Variables of loops. */
  readonly scope: ReadonlyMap<string, Type>
  readonly loops: number
  /** What is looped over, as opposed to what is done with its items. */
  readonly isRange: boolean
  readonly depth: number
  readonly notes: { readonly faults: Set<string>; nodes: number; nesting: number }
}

/** Notes a fault. The part is typed `dyn`, so that one fault is told once. */
export function fault({ notes }: Walk, message: string): Type {
  notes.faults.add(message)
  return dyn
}
