// A server that stops under load: nobody new comes in, who is inside finishes, and what is still open at the end is cut.
// A client whose stream was cut resumes it elsewhere by the id that it saw last.
import type { Server } from 'node:http'

const lookMs = 100

/** Closes the server. Resolves when its last connection has ended, at the latest soon after `drainMs`. */
export async function drainServer(server: Server, drainMs: number): Promise<void> {
  // Whoever keeps a connection for later requests is told to open the next one elsewhere.
  server.prependListener('request', (_request, response) => void response.setHeader('connection', 'close'))
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const idle = setInterval(() => server.closeIdleConnections(), lookMs)
  const end = setTimeout(() => server.closeAllConnections(), drainMs)
  await closed
  clearInterval(idle)
  clearTimeout(end)
}
