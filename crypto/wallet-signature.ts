// Who signed a message with a wallet (EIP-191 personal_sign). Strict: 65 bytes, low s, recovery id 0, 1, 27 or 28.
import type { Hex } from 'viem'
import { recoverMessageAddress } from 'viem/utils'
import { GatewayError } from '../domain/errors.ts'

// Half of the order of secp256k1: a signature with a greater s has a twin, and text with twins is no identity.
const lowSMax = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n
const shape = /^0x[0-9a-fA-F]{130}$/

/** Lower-case address that signed `message`. Throws `signature-invalid` for anything but a canonical signature. */
export async function recoverSigner(message: string, signature: string): Promise<string> {
  if (!shape.test(signature)) throw refused('The signature must be 65 bytes in hexadecimal.') // ERC-2098 forms too
  const v = Number.parseInt(signature.slice(130), 16)
  if (![0, 1, 27, 28].includes(v)) throw refused('The recovery id is not 0, 1, 27 or 28.')
  if (BigInt(`0x${signature.slice(66, 130)}`) > lowSMax) throw refused('The signature has a high s.')
  const canonical = `${signature.slice(0, 130)}${(v < 27 ? v + 27 : v).toString(16)}` as Hex
  try {
    return (await recoverMessageAddress({ message, signature: canonical })).toLowerCase()
  } catch {
    throw refused('No key signed this.')
  }
}

const refused = (reason: string) => new GatewayError('signature-invalid', reason)
