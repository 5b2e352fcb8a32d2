// What never stands in a log line: members with the name of a credential, wherever they are, and texts that look like
// one, whoever wrote them. Names decide before anything is serialised, texts on the finished line.
import { logDepthMax } from '../domain/limits.ts'

const censor = '[redacted]'

// Ends of names in lower case without - and _: `accessToken` and `X-Api-Key` count, `tokenId` and `inputTokens` do not.
const secretName =
  /(?:authorization|cookie|token|signature|secret|password|passphrase|apikey|privatekey|masterkey|seedphrase|mnemonic|databaseurl)$/

const isSecret = (name: string, value: unknown): boolean =>
  value !== null &&
  value !== undefined &&
  typeof value !== 'number' &&
  typeof value !== 'boolean' &&
  secretName.test(name.toLowerCase().replaceAll(/[-_]/g, ''))

/** A copy of the members that may be written. Errors are described, loops and what is too deep are cut. */
export function redactMembers(members: object): Record<string, unknown> {
  return membersOf(members, [])
}

function membersOf(value: object, above: readonly object[]): Record<string, unknown> {
  const inside = [...above, value]
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, isSecret(name, member) ? censor : copyOf(member, inside)]),
  )
}

function copyOf(value: unknown, above: readonly object[]): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (above.includes(value) || above.length > logDepthMax) return '[cut]'
  if (value instanceof Error) return describeError(value)
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`
  if (Array.isArray(value)) return value.map((member) => copyOf(member, [...above, value]))
  if ('toJSON' in value && typeof value.toJSON === 'function') return copyOf(value.toJSON(), [...above, value])
  return membersOf(value, above)
}

// Messages and stacks of our own errors are safe by construction; causes of foreign ones are reduced to name and message.
function describeError(error: Error): unknown {
  const code = 'code' in error ? error.code : undefined
  const cause = error.cause instanceof Error ? `${error.cause.name}: ${error.cause.message}` : undefined
  return { type: error.name, message: error.message, code, stack: error.stack, cause }
}

const secretTexts: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|DPoP|Basic)\s+[\w.~+/=-]{12,}/gi, `$1 ${censor}`],
  [/\b(?:sk-|mcpwt_)[\w-]{8,}/g, censor],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, censor], // a JWS begins with {" in base64url
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/"\\]*):[^\s@/"\\]+@/gi, `$1:${censor}@`],
  [/(?<!hash":")\b0x(?:[0-9a-f]{130}|[0-9a-f]{64})\b/gi, censor], // signatures and private keys
]

/** The line with every text that looks like a credential taken out. */
export function redactLine(line: string): string {
  return secretTexts.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line)
}
