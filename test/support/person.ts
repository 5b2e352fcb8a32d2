// A person with a wallet who speaks raw HTTP to a running Gatehouse: signs in, takes play money, chats. Suites use it
// where the bytes on the wire are what is being tested.
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

export type ChatEvent = { readonly id: string | null; readonly type: string; readonly data: unknown }

export type ChatReply = {
  readonly status: number
  readonly headers: Headers
  readonly events: readonly ChatEvent[]
  /** Body of a refusal. */
  readonly body: unknown
  /** Milliseconds from sending the request to the first `text` event. */
  readonly firstTextMs: number | null
}

export type Person = {
  readonly address: string
  readonly token: string
  readonly call: (method: string, path: string, body?: unknown) => Promise<Response>
  readonly json: (method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>
  readonly balance: () => Promise<bigint>
  readonly openSession: (agentId?: string, model?: string) => Promise<string>
  readonly chat: (order: ChatOrder) => Promise<ChatReply>
}

export type ChatOrder = {
  readonly sessionId: string
  readonly message: string
  readonly agentId?: string
  readonly base?: string
  readonly headers?: Record<string, string>
  readonly signal?: AbortSignal
}

/** Signs in with a new key, or the given one, at `base`. */
export async function signIn(base: string, privateKey: `0x${string}` = generatePrivateKey()): Promise<Person> {
  const account = privateKeyToAccount(privateKey)
  const challenge = (await (await fetch(`${base}/auth/challenge?walletAddress=${account.address}`)).json()) as {
    nonce: string
    message: string
  }
  const signature = await account.signMessage({ message: challenge.message })
  const verified = await fetch(`${base}/auth/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ walletAddress: account.address, signature, nonce: challenge.nonce }),
  })
  const { token } = (await verified.json()) as { token: string }
  if (!verified.ok) throw new Error(`Signing in failed with ${verified.status}.`)
  return personWith({ base, address: account.address.toLowerCase(), token })
}

function personWith({ base, address, token }: { base: string; address: string; token: string }): Person {
  const call: Person['call'] = (method, path, body) =>
    fetch(`${base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const json: Person['json'] = async (method, path, body) => {
    const reply = await call(method, path, body)
    if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${await reply.text()}`)
    return (await reply.json()) as Record<string, unknown>
  }
  return {
    address,
    token,
    call,
    json,
    balance: async () => BigInt(String((await json('GET', '/wallet/balance'))['availableBalance'])),
    openSession: async (agentId = 'assistant', model) =>
      String((await json('POST', `/agents/${agentId}/sessions`, model === undefined ? {} : { model }))['id']),
    chat: (order) => chat({ base, token, ...order }),
  }
}

async function chat(order: ChatOrder & { base: string; token: string }): Promise<ChatReply> {
  const sentAt = performance.now()
  const reply = await fetch(`${order.base}/agents/${order.agentId ?? 'assistant'}/sessions/${order.sessionId}/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${order.token}`, 'content-type': 'application/json', ...order.headers },
    body: JSON.stringify({ message: order.message }),
    ...(order.signal ? { signal: order.signal } : {}),
  })
  const { status, headers } = reply
  if (!headers.get('content-type')?.startsWith('text/event-stream')) {
    const text = await reply.text()
    return { status, headers, events: [], body: text === '' ? null : JSON.parse(text), firstTextMs: null }
  }
  const events: ChatEvent[] = []
  let firstTextMs: number | null = null
  for await (const event of readEvents(reply)) {
    if (event.type === 'text') firstTextMs ??= performance.now() - sentAt
    events.push(event)
  }
  return { status, headers, events, body: null, firstTextMs }
}

/** Reads server-sent events of a reply as they come. */
export async function* readEvents(reply: Response): AsyncGenerator<ChatEvent> {
  let buffer = ''
  const decoder = new TextDecoder()
  for await (const chunk of reply.body ?? []) {
    buffer += decoder.decode(chunk as Uint8Array, { stream: true })
    const frames = buffer.split('\n\n')
    buffer = frames.pop() ?? ''
    for (const frame of frames) {
      const line = frame.split('\n').find((each) => each.startsWith('data: '))
      if (line === undefined) continue
      const id =
        frame
          .split('\n')
          .find((each) => each.startsWith('id: '))
          ?.slice(4) ?? null
      const { type, data } = JSON.parse(line.slice(6)) as { type: string; data: unknown }
      yield { id, type, data }
    }
  }
}

/** The text of a reply, put together. */
export function textOf(reply: { readonly events: readonly ChatEvent[] }): string {
  return reply.events.flatMap((event) => (event.type === 'text' ? [String(event.data)] : [])).join('')
}

/** The last event's data: `done` or `error`. */
export function lastOf(reply: { readonly events: readonly ChatEvent[] }): {
  type: string
  data: Record<string, unknown>
} {
  const last = reply.events.at(-1)
  return { type: last?.type ?? 'none', data: (last?.data ?? {}) as Record<string, unknown> }
}
