// Wallet addresses as people write them: lower case, upper case, or with the checksum of EIP-55, which must then be right.
import { getAddress } from 'viem/utils'
import { GatewayError } from '../domain/errors.ts'

const shape = /^0x[0-9a-fA-F]{40}$/

/** The lower-case form. Throws `request-invalid` for a mixed-case address with a wrong checksum: somebody mistyped it. */
export function parseAddress(text: string): string {
  const lower = text.toLowerCase()
  const digits = text.slice(2)
  const oneCase = digits === digits.toLowerCase() || digits === digits.toUpperCase()
  if (shape.test(text) && (oneCase || getAddress(lower) === text)) return lower
  throw new GatewayError('request-invalid', 'The address is not valid: its EIP-55 checksum is wrong.', {
    details: { field: 'walletAddress' },
  })
}
