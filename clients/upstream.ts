// A fetch for upstreams: it resolves a name itself, judges every address before a packet leaves, connects to what was
// judged and nothing else, follows no redirect, and bounds connections, silence and bytes.
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { Agent, buildConnector, fetch as plainFetch } from 'undici'
import { GatewayError, toError } from '../domain/errors.ts'
import { upstreamAddressesMax, upstreamConnectMs } from '../domain/limits.ts'
import { addressKind } from './addresses.ts'

type Lookup = (hostname: string) => Promise<readonly string[]>

export type UpstreamFetchDeps = {
  /** For upstreams that configuration names. A URL that a peer gives us never gets it. */
  readonly allowLoopback: boolean
  /** For upstreams that configuration names inside a private network. Link-local and metadata addresses stay closed. */
  readonly allowPrivate?: boolean
  readonly connectionsMax: number
  readonly responseBytesMax: number
  /** Longest silence before the headers, and between two pieces of a body. */
  readonly silenceMs: number
  /** What a longer body is called; `upstream-invalid` when absent. */
  readonly tooLarge?: () => GatewayError
  readonly lookup?: Lookup
  readonly connect?: buildConnector.connector
}

export type UpstreamFetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/** Makes the fetch of one upstream, with a pool of its own. Its faults are GatewayErrors; an abort throws its reason. */
export function createUpstreamFetch(deps: UpstreamFetchDeps): UpstreamFetch {
  const dispatcher = new Agent({
    connections: deps.connectionsMax,
    headersTimeout: deps.silenceMs,
    bodyTimeout: deps.silenceMs,
    connect: guardedConnector(deps),
  })
  return async (url, init = {}) => {
    try {
      const request = { ...init, redirect: 'manual', dispatcher } as Parameters<typeof plainFetch>[1]
      const response = (await plainFetch(url, request)) as unknown as Response
      if (response.status >= 300 && response.status < 400) {
        await response.body?.cancel()
        throw new GatewayError('upstream-invalid', 'The upstream redirects, which is not followed.')
      }
      return bounded(response, deps)
    } catch (error) {
      if (init.signal?.aborted === true) throw init.signal.reason
      throw faultOf(error)
    }
  }
}

function guardedConnector(deps: UpstreamFetchDeps): buildConnector.connector {
  const connect = deps.connect ?? buildConnector({ timeout: upstreamConnectMs })
  return (options, callback) => {
    const attempt = (addresses: readonly string[]): void => {
      const [address = '', ...rest] = addresses
      // The name stays in `servername`, so that the certificate is judged by what was asked for.
      const servername = options.servername ?? (isIP(options.hostname) === 0 ? options.hostname : '')
      connect({ ...options, hostname: address, servername }, (...outcome: Parameters<typeof callback>) => {
        if (outcome[0] !== null && rest.length > 0) attempt(rest)
        else callback(...outcome)
      })
    }
    const judgeAndConnect = async () => {
      try {
        attempt(await allowedAddresses(deps, options))
      } catch (error) {
        callback(toError(error), null)
      }
    }
    void judgeAndConnect()
  }
}

async function allowedAddresses(
  deps: UpstreamFetchDeps,
  { hostname, protocol }: { readonly hostname: string; readonly protocol: string },
): Promise<readonly string[]> {
  const host = hostname.replace(/^\[|\]$/g, '')
  const addresses = isIP(host) === 0 ? await (deps.lookup ?? lookupAll)(host) : [host]
  if (addresses.length === 0) throw new GatewayError('upstream-unavailable', 'The upstream has no address.')
  // One bad address among good ones refuses all: an answer that mixes them is an attempt to be lucky.
  for (const address of addresses) {
    const kind = addressKind(address)
    const open =
      kind === 'public' ||
      (kind === 'loopback' && deps.allowLoopback) ||
      (kind === 'private' && deps.allowPrivate === true)
    if (!open) throw new GatewayError('upstream-invalid', 'The address of the upstream is not allowed.')
    if (kind === 'public' && protocol !== 'https:')
      throw new GatewayError('upstream-invalid', 'A public upstream must be reached over https.')
  }
  return addresses.slice(0, upstreamAddressesMax)
}

const lookupAll: Lookup = async (hostname) =>
  (await systemLookup(hostname, { all: true })).map(({ address }) => address)

const endless = () => new GatewayError('upstream-invalid', 'The upstream answers without end.')

function bounded(response: Response, { responseBytesMax, tooLarge = endless }: UpstreamFetchDeps): Response {
  if (response.body === null) return response
  let bytes = 0
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      bytes += chunk.byteLength
      if (bytes > responseBytesMax) controller.error(tooLarge())
      else controller.enqueue(chunk)
    },
  })
  const { status, statusText, headers } = response
  return new Response(response.body.pipeThrough(counter), { status, statusText, headers: [...headers] })
}

const timeouts = ['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']

// undici wraps what a connector says in "fetch failed". No cause is carried on: it may quote headers.
function faultOf(error: unknown): GatewayError {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof GatewayError) return each
    if (timeouts.includes((each as { code?: string }).code ?? ''))
      return new GatewayError('upstream-timeout', 'The upstream did not answer in time.')
  }
  return new GatewayError('upstream-unavailable', 'The upstream cannot be reached.')
}
