// What the server's schemas say, the client takes whole; and the example of the SDK does what it tells.
import { privateKeyToAccount, generatePrivateKey } from 'viem/accounts'
import { expect, test } from 'vitest'
import type { z } from 'zod'
import { ask } from '../../examples/chat.ts'
import { AgentDetail, AgentList } from '../../schemas/agent.ts'
import { Challenge, LinkReply, RevokeReply, TokenMessage, VerifyReply } from '../../schemas/auth.ts'
import { CreatedSession, SessionDetail, SessionList } from '../../schemas/session.ts'
import { Balance, FaucetReply, TransactionPage } from '../../schemas/wallet.ts'
import * as client from '../../sdk/shapes.ts'
import { done, frames, json, sessionRow, startApiDouble, stream } from '../support/api-double.ts'

const at = '2026-01-31T12:00:00.000Z'
const id = '0198c1f2-4a6b-7c3d-8e9f-0a1b2c3d4e5f'
const agent = { id: 'a', name: 'a', title: 'A', description: 'Helps.', model: 'm', skillsCount: 1 }
const session = { id, agentId: 'a', model: 'm', createdAt: at }
const summary = { ...session, lastActiveAt: at, lastMessageAt: null, messageCount: 0, preview: null, persisted: true }

type Pair = { readonly server: z.ZodType; readonly client: z.ZodType; readonly reply: unknown }

// The compiler holds the two together: `reply` is what the server may send and what the client reads.
function pair<S extends z.ZodType, C extends z.ZodType>(server: S, client: C, reply: z.output<S> & z.input<C>): Pair {
  return { server, client, reply }
}

test.each<[string, Pair]>([
  ['challenge', pair(Challenge, client.Challenge, { nonce: 'n', message: 'm' })],
  ['token message', pair(TokenMessage, client.Rendered, { message: 'm' })],
  ['token', pair(VerifyReply, client.Issued, { token: 't', expiresAt: at, walletAddress: '0x' })],
  ['revocation', pair(RevokeReply, client.Revoked, { revoked: 'all', epoch: 2 })],
  ['link', pair(LinkReply, client.Link, { url: 'http://x', expiresIn: 60 })],
  ['agents', pair(AgentList, client.AgentList, { agents: [agent] })],
  [
    'agent',
    pair(AgentDetail, client.Agent, {
      ...agent,
      tools: [{ name: 't', description: 'd' }],
      toolsCount: 1,
      skills: [{ name: 's', title: 'S', description: 'd' }],
      categories: ['c'],
      mcpServers: ['everything'],
      pricing: { type: 'usage', amount: '0', currency: 'USD', description: 'By use.' },
    }),
  ],
  ['new session', pair(CreatedSession, client.SessionSummary, { ...session, executionEngine: 'claude' })],
  ['sessions', pair(SessionList, client.SessionList, { sessions: [summary] })],
  [
    'session',
    pair(SessionDetail, client.Session, {
      ...summary,
      messages: [{ role: 'user', content: 'hi', timestamp: at }],
      currentTurn: { turnId: id, state: 'running' },
    }),
  ],
  [
    'balance',
    pair(Balance, client.Balance, {
      availableBalance: '5',
      availableBalanceUsd: '$0.000005',
      usdcBalance: '5',
      onChainBalance: '5',
      unsettledSpend: '0',
      pendingWithdrawals: '0',
      reserved: '0',
      walletAddress: '0x',
      unifiedDepositAddress: null,
      depositAddress: null,
      depositInstructions: null,
      agentSpends: { a: { totalSpent: '1' } },
      estimatedMessages: { m: 3 },
    }),
  ],
  [
    'transactions',
    pair(TransactionPage, client.TransactionPage, {
      transactions: [
        { id: '1', type: 'spend', amount: '-5', timestamp: at, createdAt: at, status: 'completed', details: { a: 1 } },
      ],
      total: 1,
      hasMore: false,
    }),
  ],
  ['faucet', pair(FaucetReply, client.Faucet, { amount: '5', availableBalance: '5', playMoney: true })],
])('a %s as the server sends it is read whole', (_name, { server, client, reply }) => {
  expect(server.parse(reply)).toEqual(reply)
  expect(client.parse(reply)).toEqual(reply)
})

test('a kind of transaction the client has never heard of is still on the bill', () => {
  const row = { id: '1', type: 'refund', amount: '5', createdAt: at }
  const page = { transactions: [row], total: 1, hasMore: false }
  expect(TransactionPage.safeParse(page).success).toBe(false)
  expect(client.TransactionPage.parse(page)).toEqual(page)
})

test('the example asks once and tells answer, cost and balance', async () => {
  await using api = await startApiDouble()
  api.on('POST /wallet/faucet', json({}))
  api.on('GET /wallet/balance', json({ availableBalance: '4997200' }))
  api.on('POST /agents/assistant/sessions', json(sessionRow))
  api.on('POST /agents/assistant/sessions/session-1/chat', stream(frames([['text', 'It is 42.'], done()])))
  const account = privateKeyToAccount(generatePrivateKey())
  const lines: string[] = []
  await ask({
    baseUrl: api.url,
    signer: { address: account.address, signMessage: (text) => account.signMessage({ message: text }) },
    text: 'add 2 and 40',
    tell: (line) => lines.push(line),
  })
  expect(lines).toEqual(['It is 42. ($0.0028)', '$4.9972 left'])
})
