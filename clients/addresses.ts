// What kind of network address this is. Only global unicast counts as public; anything a registry reserves, and the
// metadata services that hide behind public-looking numbers, does not.
import { BlockList, isIP } from 'node:net'

export type AddressKind = 'public' | 'loopback' | 'private' | 'forbidden'

const loopback = listOf(['127.0.0.0/8', '::1/128'])
const privateNets = listOf(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'])

// Link-local with its metadata service, metadata services elsewhere, reserved, shared, multicast, documentation.
const forbidden = listOf([
  '169.254.0.0/16',
  '100.64.0.0/10', // carrier-grade NAT, and one cloud's metadata service
  '168.63.129.16/32', // a cloud's wire server
  'fd00:ec2::/32', // a cloud's metadata service over IPv6
  '0.0.0.0/8',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  // Inside 2000::/3: protocol assignments with Teredo, documentation, 6to4 (carries any IPv4 address).
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
])
const globalUnicast = listOf(['2000::/3'])

/** Judges one literal address. What is not an address is forbidden. */
export function addressKind(address: string): AddressKind {
  const version = isIP(address)
  if (version === 0) return 'forbidden'
  const family = version === 4 ? 'ipv4' : 'ipv6'
  // An IPv4 address inside IPv6 (::ffff:a.b.c.d, 64:ff9b::/96) has no reason to be in an answer: it hides a number.
  if (family === 'ipv6' && mapped.check(address, 'ipv6')) return 'forbidden'
  if (loopback.check(address, family)) return 'loopback'
  if (forbidden.check(address, family)) return 'forbidden'
  if (privateNets.check(address, family)) return 'private'
  if (family === 'ipv6' && !globalUnicast.check(address, 'ipv6')) return 'forbidden'
  return 'public'
}

const mapped = listOf(['::ffff:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48'])

function listOf(nets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const net of nets) {
    const [prefix = '', bits = ''] = net.split('/')
    list.addSubnet(prefix, Number(bits), prefix.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}
