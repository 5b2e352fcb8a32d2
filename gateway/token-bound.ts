// How many tokens a model may count for what it is sent, at most: what must be reserved before it is asked. A token is at
// least one byte, so bytes bound tokens; an image counts by table, because its bytes are no text.
import { imageTokensBound, imageTokensLikely, tokenBytesLikely } from '../domain/limits.ts'
import type { Block, ModelRequest } from '../schemas/model.ts'

/** Bound of blocks as they are stored and sent. */
export function tokensOfBlocks(blocks: readonly Block[]): number {
  const texts = blocks.filter((block) => block.type !== 'image')
  return Buffer.byteLength(JSON.stringify(texts)) + (blocks.length - texts.length) * imageTokensBound
}

/** Tokens that a request is likely to count: a token is some four bytes. For rates; money holds the bound. */
export function tokensExpected(request: ModelRequest): number {
  return Math.ceil(tokensOfRequest(request) / 4)
}

/** What blocks are likely to count, rather too much than too little: what is chosen by it must fit. */
export function tokensLikely(blocks: readonly Block[]): number {
  const texts = blocks.filter((block) => block.type !== 'image')
  const bytes = Buffer.byteLength(JSON.stringify(texts))
  return Math.ceil(bytes / tokenBytesLikely) + (blocks.length - texts.length) * imageTokensLikely
}

/** Bound of a whole request, tools and all. */
export function tokensOfRequest({ messages, ...rest }: ModelRequest): number {
  const sizes = messages.map(({ role, content }) => Buffer.byteLength(role) + tokensOfBlocks(content))
  return sizes.reduce((sum, size) => sum + size, Buffer.byteLength(JSON.stringify(rest)))
}
