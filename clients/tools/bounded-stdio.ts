// The pipe to a stdio child, bounded: what a server has not read yet waits in our memory, and one that reads no more would
// have every further call wait there too.
import type { JSONRPCMessage } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { GatewayError } from '../../domain/errors.ts'
import { toolUnreadBytesMax } from '../../domain/limits.ts'

/** As the one it extends; a message that would wait behind too much is refused and the child given up. */
export class BoundedStdioTransport extends StdioClientTransport {
  #unreadBytes = 0
  #last: Promise<unknown> = Promise.resolve()

  override async send(message: JSONRPCMessage): Promise<void> {
    const bytes = Buffer.byteLength(JSON.stringify(message))
    if (this.#unreadBytes + bytes > toolUnreadBytesMax) {
      void this.close().catch(() => undefined) // it is polite to the child first; nobody waits for that
      throw new GatewayError('tool-server-unavailable', 'The tool server does not read what it is sent.')
    }
    this.#unreadBytes += bytes
    try {
      const sent = this.#last.then(() => super.send(message))
      this.#last = sent.catch(() => undefined)
      await sent
    } finally {
      this.#unreadBytes -= bytes
    }
  }
}
