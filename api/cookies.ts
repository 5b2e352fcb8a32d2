// Our cookies. The `__Host-` prefix makes browsers refuse them without Secure, with a Domain, or for part of a path;
// Chromium and Firefox count loopback as secure.
import type { IncomingMessage } from 'node:http'

/** The session of a browser: an access token. */
export const sessionCookie = '__Host-gatehouse'
/** Ties a challenge to the browser that asked for it. */
export const challengeCookie = '__Host-gatehouse-challenge'

const attributes = 'Path=/; Secure; HttpOnly; SameSite=Strict'

export function setCookie(name: string, value: string, maxAgeSeconds: number): string {
  return `${name}=${value}; ${attributes}; Max-Age=${maxAgeSeconds}`
}

export const clearCookie = (name: string): string => setCookie(name, '', 0)

export function readCookie(request: IncomingMessage, name: string): string | undefined {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim())
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1)
}
