// Permissions of a credential: `namespace:action` with `*` on either side. An empty list is the owner's full API of
// older tokens, except creating withdrawals.

export const permissionNamespaces = [
  'wallet',
  'agents',
  'chat',
  'canvas',
  'mcp',
  'vault',
  'withdraw',
  'reflect',
  'admin',
] as const

const shape = /^(?:\*|[a-z][a-z0-9-]*):(?:\*|[a-z][a-z0-9-]*)$/

/** True for `*:*`, `chat:*`, `wallet:read`; namespaces outside the list are refused. */
export function isPermission(text: string): boolean {
  if (!shape.test(text)) return false
  const namespace = text.slice(0, text.indexOf(':'))
  return namespace === '*' || (permissionNamespaces as readonly string[]).includes(namespace)
}

/** Whether the granted patterns cover the wanted permission. */
export function permits(granted: readonly string[], wanted: string): boolean {
  if (granted.length === 0) return !wanted.startsWith('withdraw:')
  const [namespace, action] = wanted.split(':')
  return granted.some((pattern) => {
    const [grantedNamespace, grantedAction] = pattern.split(':')
    const space = grantedNamespace === '*' || grantedNamespace === namespace
    return space && (grantedAction === '*' || grantedAction === action)
  })
}

/** What the id of a tool server looks like: one word, because it stands in a text that a wallet signs. */
export const serverIdShape = /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}$/
