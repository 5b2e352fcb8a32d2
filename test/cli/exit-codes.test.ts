// Exit codes are a table: in code, in the documentation, and one with the server's own table of errors.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { problems } from '../../api/problem.ts'
import { exitCodeOf, exitCodeOfEvent, exitCodes } from '../../cli/exit-codes.ts'
import { GatehouseError } from '../../sdk/client.ts'

const page = readFileSync(new URL('../../docs/command-line.md', import.meta.url), 'utf8')

test('the documentation has a line for every exit code, and for no other', () => {
  const documented = [...page.matchAll(/^\| `(\d+)` \|/gm)].map(([, code]) => Number(code))
  expect(documented).toEqual(Object.values(exitCodes))
})

test.each(Object.entries(problems))('a turn that ends in %s exits as the refusal does', (code, { status, wire }) => {
  const refused = exitCodeOf(new GatehouseError('No.', { status, code: wire }))
  const expected = code === 'turn-cancelled' ? exitCodes.cancelled : refused
  expect([exitCodeOfEvent(code), exitCodeOfEvent(wire)]).toEqual([expected, expected])
})
