// Images of a message, from files. What cannot be sent is said before anything is: which file, and the limit it passes.
import { chatBodyBytesMax, imageBytesMax, imagesPerMessageMax } from '../domain/limits.ts'
import type { Image } from '../sdk/client.ts'
import type { CliDeps } from './deps.ts'
import { UsageError } from './exit-codes.ts'

/** Reads them. An image is what its first bytes say it is; its name says nothing. */
export async function readImages(deps: CliDeps, paths: readonly string[]): Promise<Image[]> {
  if (paths.length > imagesPerMessageMax)
    throw new UsageError(`${paths.length} images are too many; a message takes ${imagesPerMessageMax}.`)
  const images: Image[] = []
  for (const path of paths) images.push(await readImage(deps, path))
  return images
}

/** Throws when a message and its images are more than the server takes at once. */
export function refuseTooLarge(message: string, images: readonly Image[]): void {
  const bytes = Buffer.byteLength(JSON.stringify({ message, images }))
  if (bytes > chatBodyBytesMax)
    throw new UsageError(
      `The message with its images is ${bytes} bytes as it is sent; at most ${chatBodyBytesMax} are.`,
    )
}

async function readImage(deps: CliDeps, path: string): Promise<Image> {
  const bytes = await deps.readBytes(deps.absolute(path))
  if (bytes === undefined) throw new UsageError(`There is no file ${path}.`)
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of bytes) {
    length += piece.byteLength
    if (length > imageBytesMax)
      throw new UsageError(`${path} is larger than ${imageBytesMax} bytes, the most an image may have.`)
    pieces.push(piece)
  }
  const whole = Buffer.concat(pieces)
  const mediaType = typeOf(whole)
  if (mediaType === undefined) throw new UsageError(`${path} is no JPEG, PNG or WebP image.`)
  return { data: whole.toString('base64'), mediaType }
}

function typeOf(bytes: Buffer): Image['mediaType'] | undefined {
  const head = bytes.toString('latin1', 0, 12)
  if (head.startsWith('\u00FF\u00D8\u00FF')) return 'image/jpeg'
  if (head.startsWith('\u0089PNG\r\n\u001A\n')) return 'image/png'
  return head.startsWith('RIFF') && head.slice(8) === 'WEBP' ? 'image/webp' : undefined
}
