// Ports on loopback: whether one is free, and the next free one after it.
import { createServer } from 'node:net'

const triesMax = 200

/** Whether something could listen on 127.0.0.1:port now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The first free port from `wanted` on that is not in `taken`; it is added there. */
export async function takePort(wanted: number, taken: Set<number>): Promise<number> {
  for (let port = wanted; port < wanted + triesMax && port <= 65_535; port += 1) {
    if (taken.has(port) || !(await isFree(port))) continue
    taken.add(port)
    return port
  }
  throw new Error(`No free port between ${wanted} and ${wanted + triesMax}.`)
}
