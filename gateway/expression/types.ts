// Types of expressions as the check at load sees them. `dyn` is known only when a call comes: below arguments and claims.
export type Type =
  | { readonly kind: 'bool' | 'int' | 'double' | 'string' | 'null' | 'dyn' }
  | { readonly kind: 'list'; readonly items: Type }
  | { readonly kind: 'map'; readonly values: Type }
  | { readonly kind: 'object'; readonly name: string; readonly fields: Readonly<Record<string, Type>> }

export const bool: Type = { kind: 'bool' }
export const int: Type = { kind: 'int' }
export const double: Type = { kind: 'double' }
export const string: Type = { kind: 'string' }
export const nothing: Type = { kind: 'null' }
export const dyn: Type = { kind: 'dyn' }
export const listOf = (items: Type): Type => ({ kind: 'list', items })
export const objectOf = (name: string, fields: Readonly<Record<string, Type>>): Type => ({
  kind: 'object',
  name,
  fields,
})

export const isNumber = ({ kind }: Type) => kind === 'int' || kind === 'double'

/** Whether two types can be equal at all. Any fact may be null, so null compares with everything. */
export function comparable(a: Type, b: Type): boolean {
  if (a.kind === 'dyn' || b.kind === 'dyn' || a.kind === 'null' || b.kind === 'null') return true
  if (isNumber(a) && isNumber(b)) return true
  if (a.kind === 'list' && b.kind === 'list') return comparable(a.items, b.items)
  if (a.kind === 'map' && b.kind === 'map') return comparable(a.values, b.values)
  return a.kind === b.kind && a.kind !== 'object'
}

/** Whether two types have no type in common that can be known at load. Any value may be null instead. */
export function mixes(a: Type, b: Type): boolean {
  if (a.kind === 'dyn' || b.kind === 'dyn' || a.kind === 'null' || b.kind === 'null') return false
  if (a.kind === 'list' && b.kind === 'list') return mixes(a.items, b.items)
  if (a.kind === 'map' && b.kind === 'map') return mixes(a.values, b.values)
  if (a.kind === 'object' && b.kind === 'object') return a.name !== b.name
  return a.kind !== b.kind
}

/** The one type of two, `dyn` where they differ. */
export function unite(a: Type, b: Type): Type {
  if (a.kind === 'list' && b.kind === 'list') return listOf(unite(a.items, b.items))
  if (a.kind === 'null') return b
  return b.kind === 'null' || (a.kind === b.kind && !mixes(a, b)) ? a : dyn
}

export function nameOf(type: Type): string {
  if (type.kind === 'list') return `list of ${nameOf(type.items)}`
  if (type.kind === 'map') return `map of ${nameOf(type.values)}`
  return type.kind === 'object' ? type.name : type.kind
}
