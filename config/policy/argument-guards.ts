// Guards that look into the arguments of a call: where its URLs lead, which paths it names, how large it is. An argument
// is taken for a URL or a path by its form, wherever it stands: a tool that calls it by another name is still looked at.
import { policyArgumentsMax } from '../../domain/limits.ts'
import type { Condition, Question } from '../../domain/policy/rule.ts'
import { condition } from './foreign.ts'

/** Holds where a URL leads to a host that the list does not name. `*.example.com` names its subdomains. */
export const leadsElsewhere = (allowed: readonly string[]): Condition =>
  condition('a URL leads outside the egress list', (question) =>
    textsOf(question).some((text) => isUrl(text) && !isHostAllowed(text, allowed)),
  )

/** Holds where a path, once resolved, lies in none of the folders. */
export const namesOther = (folders: readonly string[]): Condition =>
  condition('a path lies outside the folders', (question) =>
    textsOf(question).some((text) => isPath(text) && !isBelow(text, folders)),
  )

/** Holds where the arguments are larger, as JSON in UTF-8. */
export const isLargerThan = (bytes: number): Condition =>
  condition(`the arguments are larger than ${bytes} bytes`, ({ facts }) => {
    return Buffer.byteLength(JSON.stringify(facts.arguments ?? null)) > bytes
  })

// Throws for arguments of more members than are looked at: what is not looked at is not let through.
function textsOf({ facts }: Question): string[] {
  const texts: string[] = []
  const queue: unknown[] = [facts.arguments]
  for (let at = 0; at < queue.length; at += 1) {
    if (at > policyArgumentsMax) throw new RangeError('There are too many arguments to look at.')
    const value = queue[at]
    if (typeof value === 'string') texts.push(readAs(value))
    else if (Array.isArray(value)) queue.push(...value)
    else if (typeof value === 'object' && value !== null) queue.push(...Object.keys(value), ...Object.values(value))
  }
  return texts
}

// WHATWG URL, basic URL parser: control characters and spaces at the ends and line breaks and tabs anywhere are dropped.
function readAs(text: string): string {
  const isDropped = (at: number) => (text.codePointAt(at) ?? 33) <= 32
  let [from, to] = [0, text.length]
  while (from < to && isDropped(from)) from += 1
  while (to > from && isDropped(to - 1)) to -= 1
  return text.slice(from, to).replace(/[\t\n\r]/g, '')
}

// A scheme and slashes, two slashes alone (`//host/path`), and the schemes that need no slash: `https:host` leads away too.
const isUrl = (text: string) =>
  (/^(?:[a-z][a-z0-9+.-]*:)?[\\/]{2}/i.test(text) && !/^file:/i.test(text)) || /^(?:https?|wss?|ftp):/i.test(text)

// The parser makes one of every spelling of an address; user information is never needed and hides hosts.
function isHostAllowed(text: string, allowed: readonly string[]): boolean {
  const url = parse(text)
  if (url === null || url.username !== '' || url.password !== '') return false
  const host = url.hostname.toLowerCase().replace(/\.$/, '')
  return allowed.some((each) => {
    const pattern = each.toLowerCase()
    return pattern.startsWith('*.')
      ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1
      : host === pattern
  })
}

function parse(text: string): URL | null {
  try {
    return new URL(text, 'https://relative.invalid')
  } catch {
    return null
  }
}

// Two slashes are a root for a file system, whatever they are for a URL; a step upwards makes a path of any text.
const isPath = (text: string) =>
  /^(?:[/~\\]|\.\.?(?:[/\\]|$)|[a-z]:[/\\]|file:)/i.test(text) ||
  (!isUrl(text) && /(?:^|[\\/])\.\.(?:[\\/]|$)/.test(text))

// A path of a person's home, of a drive or relative to nobody knows where lies in no folder.
function isBelow(text: string, folders: readonly string[]): boolean {
  const plain = text.replace(/^file:(?:\/\/(?:localhost)?)?/i, '')
  if (!plain.startsWith('/') || plain.includes('\\') || plain.includes('\0') || /%2e|%2f|%5c/i.test(plain)) return false
  const path = resolved(plain)
  return folders.some((folder) => {
    const root = resolved(folder)
    return path === root || path.startsWith(root === '/' ? root : `${root}/`)
  })
}

// POSIX path resolution of an absolute path, without links: a folder that is listed must hold none that lead away.
function resolved(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
