// `gatehouse link`: a browser on this machine signs in without a key of its own. Operators need it to read payloads in
// the Temporal UI.
import { parseWords } from './arguments.ts'
import type { Command } from './deps.ts'
import { exitCodes } from './exit-codes.ts'
import { printJson, printLine, printNote } from './output.ts'
import { openSignedIn } from './settings.ts'

export const link: Command = {
  summary: 'a one-time address that signs a browser in',
  help: `Usage: gatehouse link [--json] [--url URL]

Prints an address that signs the browser in as you, once, within a minute. An operator lands in the Temporal UI and can
read payloads there, after switching on "include cross-origin credentials" in its codec settings. Development only.

Examples:
  npx --no gatehouse login --identity maintainer && npx --no gatehouse link
  npx --no gatehouse link --json`,
  async run(deps, args) {
    const { values } = parseWords(args, {})
    const { url, expiresIn } = await (await openSignedIn(deps, values.url)).link()
    if (values.json === true) printJson(deps, { url, expiresIn })
    else {
      printLine(deps, url)
      printNote(deps, `Open it within ${expiresIn} s. It works once and signs the browser in as you: do not share it.`)
    }
    return exitCodes.ok
  },
}
