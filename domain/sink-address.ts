// Where evidence may be sent: over https, or in clear to this machine only. Whoever answers with a further address (a
// place to upload to) must not use it to reach what only we can reach.

/** Why the address is refused; null when it is fine. `askedAt`: who named it, when it was not the operator. */
export function sinkFault(address: string, askedAt?: string): string | null {
  const url = parsed(address)
  if (url === undefined) return 'it is no address'
  if (url.username !== '' || url.password !== '') return 'it holds a name or a password'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isReserved(host)) return 'it names a reserved address'
  const local = isLocal(host)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local))
    return 'it is neither https nor on this machine'
  if (askedAt !== undefined && local && !isLocal(parsed(askedAt)?.hostname.replace(/^\[|\]$/g, '') ?? ''))
    return 'somebody elsewhere named an address of this machine'
  return null
}

function parsed(address: string): URL | undefined {
  return URL.canParse(address) ? new URL(address) : undefined
}

// Hosts as a URL writes them: numbers in any notation have become dotted quads, IPv6 is compressed.
const isLocal = (host: string) => host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)

// This network, link-local with its metadata services, addresses that hide an IPv4 one, multicast.
const isReserved = (host: string) =>
  /^(?:0|169\.254|22[4-9]|23\d|2[45]\d)(?:\.\d{1,3}){2,3}$|^(?:fe[89ab]|ff|64:ff9b:|::ffff:)|^::$/.test(host)
