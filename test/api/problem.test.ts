// Every code has one meaning over HTTP, in every family.
import { expect, test } from 'vitest'
import { present } from '../../api/presenters.ts'
import { hidesReason, problemOf } from '../../api/problem.ts'
import { errorCodes, GatewayError } from '../../domain/errors.ts'
import { Problem, WalletError } from '../../schemas/problem.ts'

const reason = 'The reason that only the log knows.'

test.each(errorCodes)('%s is presented in each family', (code) => {
  const { status, wire, title } = problemOf(code)
  const error = new GatewayError(code, reason, { details: { secret: 'x' } })
  const wallet = present('wallet', error, 'request')
  expect(WalletError.parse(wallet.body)).toMatchObject({ error: wire, code: wire })
  expect(wire).toMatch(/^[A-Z][A-Z_]+$|^missing_secrets$/)
  const control = present('control', error, 'request')
  expect(Problem.parse(control.body)).toMatchObject({
    ...{ type: `/problems/${code}`, title, status, code, instance: 'request' },
  })
  for (const family of ['wallet', 'plain', 'edge', 'control'] as const) {
    const { body, status: answered } = present(family, error, 'request')
    expect(answered).toBe(status)
    expect(JSON.stringify(body)).not.toContain('secret":')
    expect(hidesReason(code) && JSON.stringify(body).includes(reason)).toBe(false)
  }
})

test('every 401 shares one public text, and the strict edge says nothing more', () => {
  const failures = errorCodes.filter((code) => problemOf(code).status === 401)
  expect(failures.length).toBeGreaterThan(5)
  const texts = failures.map((code) => present('wallet', new GatewayError(code, reason), '').body)
  expect(new Set(texts.map((body) => (body as { message: string }).message))).toEqual(
    new Set(['Authentication failed.']),
  )
  for (const code of failures) {
    const { body, headers } = present('edge', new GatewayError(code, reason), '')
    expect([body, headers['www-authenticate']]).toEqual([{ message: 'Unauthorized' }, 'Bearer'])
  }
})

test('every 429 and 503 says when to come again, in whole seconds', () => {
  const waits = errorCodes.filter((code) => [429, 503].includes(problemOf(code).status))
  for (const code of waits) {
    const said = (retryAfterMs?: number) =>
      present('wallet', new GatewayError(code, reason, { retryAfterMs }), '').headers['retry-after']
    expect(said()).toMatch(/^[1-9]\d*$/)
    expect([said(1), said(1_001)]).toEqual(['1', '2'])
  }
})

test.each([
  ['money is 402', 402, ['insufficient-funds', 'budget-exceeded']],
  ['policy is 403', 403, ['permission-missing', 'policy-refused', 'approval-required']],
] as const)('%s', (_name, status, codes) => {
  expect(codes.map((code) => problemOf(code).status)).toEqual(codes.map(() => status))
})

test.each([new TypeError('a secret'), 'a secret', { secret: 1 }, undefined, null])(
  'anything else that is thrown is a bug without detail (%s)',
  (thrown) => {
    const { status, body, code } = present('wallet', thrown, '')
    expect([status, code]).toEqual([500, 'internal'])
    expect(JSON.stringify(body)).not.toContain('secret')
  },
)
