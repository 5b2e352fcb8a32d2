// A person's message as blocks of the transcript. An image is what its first bytes say it is.
import { GatewayError } from '../domain/errors.ts'
import { imageBytesMax } from '../domain/limits.ts'
import type { Block } from '../schemas/model.ts'

export type ChatMessage = {
  readonly message: string
  readonly images?: readonly { readonly data: string; readonly mediaType: ImageType }[] | undefined
}

type ImageType = Extract<Block, { type: 'image' }>['mediaType']

/** Images first, then the words. Refuses an image that is too large or not of its declared type. */
export function contentOf({ message, images = [] }: ChatMessage): Block[] {
  return [...images.map((image, index) => imageBlock(image, index)), { type: 'text', text: message }]
}

function imageBlock({ data, mediaType }: { data: string; mediaType: ImageType }, index: number): Block {
  const head = Buffer.from(data.slice(0, 24), 'base64')
  const bytes = Buffer.byteLength(data, 'base64')
  const field = `images.${index}`
  if (bytes > imageBytesMax)
    throw new GatewayError('request-invalid', `An image exceeds ${imageBytesMax} bytes.`, { details: { field } })
  if (typeOf(head) !== mediaType) {
    throw new GatewayError('request-invalid', `An image is not of the type ${mediaType}.`, { details: { field } })
  }
  return { type: 'image', mediaType, data }
}

function typeOf(head: Buffer): ImageType | undefined {
  if (head.subarray(0, 3).equals(Buffer.from('ffd8ff', 'hex'))) return 'image/jpeg'
  if (head.subarray(0, 8).equals(Buffer.from('89504e470d0a1a0a', 'hex'))) return 'image/png'
  const isRiff = head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WEBP'
  return isRiff ? 'image/webp' : undefined
}
