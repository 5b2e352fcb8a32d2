// What a wallet is asked to sign, read before it signs. The server renders the text; a text that says more than was asked
// for, or that another server would take, is never signed.
import { GatehouseError } from './errors.ts'

export type TokenAsked = {
  readonly address: string
  readonly expiresAt: Date
  readonly permissions: readonly string[]
  readonly serverId: string | undefined
}

/** Refuses anything but a challenge of the server at `baseUrl`. Throws DOMAIN_MISMATCH or STATEMENT_MISMATCH. */
export function checkChallenge(baseUrl: string, message: string): void {
  checkDomain(baseUrl, message)
  if (!/^\S+ wants you to sign in\b/.test(message)) throw mismatch('sends something else than a challenge', baseUrl)
}

/** Refuses anything but a statement of that server that gives no more than was asked for. Throws as above. */
export function checkTokenStatement(baseUrl: string, message: string, asked: TokenAsked): void {
  checkDomain(baseUrl, message)
  const [head = '', ...lines] = message.split('\n')
  if (!/^\S+ asks for a Gatehouse wallet token\.$/.test(head)) throw mismatch('sends no statement of a token', baseUrl)
  const said = (name: string): string | undefined => {
    const values = lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))
    return values.length === 1 ? values[0] : undefined
  }
  const permissions = asked.permissions.length === 0 ? ['all'] : asked.permissions
  const saidPermissions = said('Permissions')?.split(', ') ?? []
  const isAsked =
    said('Wallet')?.toLowerCase() === asked.address.toLowerCase() &&
    Date.parse(said('Expires') ?? '') <= asked.expiresAt.getTime() && // not a time: never
    saidPermissions.length > 0 &&
    saidPermissions.every((each) => permissions.includes(each)) &&
    said('Server') === (asked.serverId ?? 'any server')
  if (!isAsked) throw mismatch('wants a signature for more than was asked for', baseUrl)
}

const loopback = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::(\d+))?$/

// EIP-4361: the text begins with the domain that asks. A server that has another one's text signed could sign in there
// as this wallet. The names of this machine are one, its ports are not: behind each may be somebody else.
function checkDomain(baseUrl: string, message: string): void {
  const asking = message.split(/\s/, 1)[0] ?? ''
  const { host } = new URL(baseUrl)
  const [theirs, ours] = [loopback.exec(asking), loopback.exec(host)]
  if (asking === host || (theirs && ours && theirs[1] === ours[1])) return
  const sentence = `${host} wants a signature for ${asking}. Nothing was signed; use the address of ${asking}.`
  throw new GatehouseError(sentence, { status: 0, code: 'DOMAIN_MISMATCH' })
}

function mismatch(does: string, baseUrl: string): GatehouseError {
  const sentence = `${new URL(baseUrl).host} ${does}. Nothing was signed.`
  return new GatehouseError(sentence, { status: 0, code: 'STATEMENT_MISMATCH' })
}
