import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { buildConnector } from 'undici'
import { afterEach, expect, test } from 'vitest'
import { addressKind } from '../../clients/addresses.ts'
import { createUpstreamFetch, type UpstreamFetchDeps } from '../../clients/upstream.ts'

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

// Nothing leaves: what would be connected to is written down, and every connect fails or goes to loopback.
function spied(deps: Partial<UpstreamFetchDeps>, target?: number) {
  const tried: { hostname: string; servername: string | undefined }[] = []
  const real = buildConnector({ timeout: 1_000 })
  const connect: buildConnector.connector = (options, callback) => {
    tried.push({ hostname: options.hostname, servername: options.servername })
    if (target === undefined) callback(new Error('nothing leaves this test'), null)
    else
      real({ ...options, hostname: '127.0.0.1', port: String(target) }, (...outcome: Parameters<typeof callback>) =>
        callback(...outcome),
      )
  }
  const fetch = createUpstreamFetch({
    allowLoopback: false,
    connectionsMax: 4,
    responseBytesMax: 10_000,
    silenceMs: 500,
    connect,
    ...deps,
  })
  return { fetch, tried }
}

async function serve(handle: RequestListener): Promise<number> {
  const server = createServer(handle)
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

test.each([
  ['169.254.169.254', 'forbidden'],
  ['100.100.100.200', 'forbidden'],
  ['168.63.129.16', 'forbidden'],
  ['fd00:ec2::254', 'forbidden'],
  ['fe80::1', 'forbidden'],
  ['0.0.0.0', 'forbidden'],
  ['::', 'forbidden'],
  ['255.255.255.255', 'forbidden'],
  ['224.0.0.1', 'forbidden'],
  ['203.0.113.9', 'forbidden'],
  ['::ffff:127.0.0.1', 'forbidden'],
  ['::ffff:8.8.8.8', 'forbidden'],
  ['64:ff9b::a9fe:a9fe', 'forbidden'],
  ['2002:7f00:1::', 'forbidden'],
  ['::127.0.0.1', 'forbidden'],
  ['example.org', 'forbidden'],
  ['10.1.2.3', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.0.1', 'private'],
  ['fd12::1', 'private'],
  ['127.9.9.9', 'loopback'],
  ['::1', 'loopback'],
  ['172.32.0.1', 'public'],
  ['8.8.8.8', 'public'],
  ['2606:4700::1111', 'public'],
])('%s is %s', (address, kind) => {
  expect(addressKind(address)).toBe(kind)
})

test.each([
  ['a metadata address', 'https://upstream.example/', ['169.254.169.254'], {}],
  ['a private address', 'https://upstream.example/', ['10.0.0.1'], {}],
  ['loopback without leave', 'https://upstream.example/', ['127.0.0.1'], {}],
  ['a literal', 'https://10.0.0.1/', [], {}],
  ['a literal written as one number', 'https://2130706433/', [], {}],
  ['an IPv6 literal', 'https://[::1]/', [], {}],
  ['one bad address among good ones', 'https://upstream.example/', ['8.8.8.8', '10.0.0.1'], {}],
  ['a private address where loopback is open', 'https://upstream.example/', ['10.0.0.1'], { allowLoopback: true }],
  [
    'a metadata address where private is open',
    'https://upstream.example/',
    ['169.254.169.254'],
    { allowPrivate: true },
  ],
  ['plain http to the public', 'http://upstream.example/', ['8.8.8.8'], { allowLoopback: true }],
])('%s is refused before anything connects', async (...[, url, addresses, deps]) => {
  const { fetch, tried } = spied({ lookup: async () => addresses, ...deps })
  await expect(fetch(url)).rejects.toMatchObject({ code: 'upstream-invalid' })
  expect(tried).toEqual([])
})

test('what was judged is what is connected to, under the name that was asked for', async () => {
  let answers = 0
  const lookup = async () => [['8.8.8.8', '2606:4700::1111'], ['10.0.0.1']][answers++] ?? []
  const { fetch, tried } = spied({ lookup })
  await expect(fetch('https://upstream.example/')).rejects.toMatchObject({ code: 'upstream-unavailable' })
  expect(tried).toEqual([
    { hostname: '8.8.8.8', servername: 'upstream.example' },
    { hostname: '2606:4700::1111', servername: 'upstream.example' },
  ])
  expect(answers).toBe(1)
})

test('a name without an address is not available', async () => {
  const { fetch } = spied({ lookup: async () => [] })
  await expect(fetch('https://upstream.example/')).rejects.toMatchObject({ code: 'upstream-unavailable' })
})

test('a redirect is not followed', async () => {
  let second = 0
  const port = await serve((request, response) => {
    if (request.url === '/next') second += 1
    response.writeHead(307, { location: '/next' }).end()
  })
  const { fetch } = spied({ allowLoopback: true }, port)
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: 'upstream-invalid' })
  expect(second).toBe(0)
})

test('a body beyond its bound and a silent upstream end', async () => {
  const port = await serve((request, response) => {
    if (request.url === '/long') response.end('x'.repeat(10_001))
  })
  const { fetch } = spied({ allowLoopback: true }, port)
  const long = await fetch(`http://127.0.0.1:${port}/long`)
  await expect(long.text()).rejects.toMatchObject({ code: 'upstream-invalid' })
  await expect(fetch(`http://127.0.0.1:${port}/silent`)).rejects.toMatchObject({ code: 'upstream-timeout' })
})

test('a private address is reached where configuration opens it', async () => {
  const port = await serve((_request, response) => response.end('reached'))
  const { fetch, tried } = spied({ allowPrivate: true, lookup: async () => ['10.0.0.1'] }, port)
  expect(await (await fetch('http://inside.example/')).text()).toBe('reached')
  expect(tried.map(({ hostname }) => hostname)).toEqual(['10.0.0.1'])
})
