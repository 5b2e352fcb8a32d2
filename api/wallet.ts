// Balance, history and, in development on loopback, play money.
import { GatewayError } from '../domain/errors.ts'
import { balanceOf, takeFromFaucet, transactionsOf, type WalletDeps } from '../gateway/wallet.ts'
import { changeSettings, settingsOf, type SettingsDeps } from '../gateway/wallet-settings.ts'
import { Balance, FaucetReply, HistoryQuery, TransactionPage } from '../schemas/wallet.ts'
import { SettingsChange, WalletSettings } from '../schemas/wallet-settings.ts'
import { isLoopback } from './context.ts'
import { route, type Route } from './route.ts'

export type WalletRoutesDeps = WalletDeps &
  SettingsDeps & {
    /** Development: play money exists, for callers on loopback. */
    readonly faucet: boolean
  }

const settingsPath = { path: '/wallet/settings', family: 'wallet', responses: { 200: WalletSettings } } as const
const reads = { kind: 'wallet', permission: 'wallet:read' } as const

export function createWalletRoutes(deps: WalletRoutesDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/wallet/balance',
      family: 'wallet',
      summary: 'What the wallet has and may spend.',
      guard: reads,
      responses: { 200: Balance },
      handle: async ({ principal }) => ({ status: 200, body: await balanceOf(deps, principal) }),
    }),
    route({
      method: 'get',
      path: '/wallet/transactions',
      family: 'wallet',
      summary: 'What came and what was spent, newest first.',
      guard: reads,
      query: HistoryQuery,
      responses: { 200: TransactionPage },
      handle: async ({ principal, query }) => ({ status: 200, body: await transactionsOf(deps, principal, query) }),
    }),
    route({
      ...settingsPath,
      method: 'get',
      summary: 'Settings of the wallet, null where nothing is set.',
      guard: reads,
      handle: async ({ principal }) => ({ status: 200, body: await settingsOf(deps, principal) }),
    }),
    route({
      ...settingsPath,
      method: 'put',
      summary: 'Changes the given settings; an unknown key is refused.',
      guard: { kind: 'wallet', permission: 'wallet:settings' },
      body: SettingsChange,
      handle: async ({ principal, body }) => ({ status: 200, body: await changeSettings(deps, principal, body) }),
    }),
    ...(deps.faucet ? [faucetRoute(deps)] : []),
  ]
}

function faucetRoute(deps: WalletRoutesDeps): Route {
  return route({
    method: 'post',
    path: '/wallet/faucet',
    family: 'wallet',
    summary: 'Play money, once per wallet (development).',
    guard: { kind: 'wallet', permission: 'wallet:fund' },
    responses: { 200: FaucetReply },
    async handle({ principal, caller }) {
      if (!isLoopback(caller)) throw new GatewayError('route-unknown', 'There is nothing at this address.')
      return { status: 200, body: await takeFromFaucet(deps, principal) }
    },
  })
}
