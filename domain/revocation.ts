// The revocation gate. A scope is a name such as `session:ab12`; its epoch only grows. A credential or a running effect
// carries the epoch it was admitted under: it is revoked as soon as the scope's epoch is greater.

export const scopeKinds = [
  'token',
  'session',
  'workflow',
  'agent',
  'user',
  'wallet',
  'tenant',
  'tool',
  'key',
  'issuer',
  'global',
] as const

export type ScopeKind = (typeof scopeKinds)[number]

export type GateScope = { readonly scope: string; readonly epoch: number }

/** Name of a scope. `session` covers every level of the session tree by its id. */
export function scopeName(kind: ScopeKind, id: string): string {
  return `${kind}:${id}`
}

/** Merges scopes, keeping for each the oldest epoch: the most restrictive reading wins. Sorted, as locks demand. */
export function mergeGates(...gates: readonly (readonly GateScope[])[]): GateScope[] {
  const oldest = new Map<string, number>()
  for (const { scope, epoch } of gates.flat()) oldest.set(scope, Math.min(epoch, oldest.get(scope) ?? epoch))
  return [...oldest].map(([scope, epoch]) => ({ scope, epoch })).toSorted((a, b) => (a.scope < b.scope ? -1 : 1))
}

/** The first scope whose present epoch has passed the carried one, if any. */
export function firstRevoked(gate: readonly GateScope[], epochOf: (scope: string) => number): string | undefined {
  return gate.find(({ scope, epoch }) => epochOf(scope) > epoch)?.scope
}
