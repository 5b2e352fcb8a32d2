// Budgets of the caller's wallet (contracts 6.1).
import { budgetsOf, putBudget, removeBudget, type BudgetDeps } from '../gateway/budgets.ts'
import * as shapes from '../schemas/budget.ts'
import { route, type Route } from './route.ts'

export type BudgetRoutesDeps = BudgetDeps

const writes = { kind: 'wallet', permission: 'wallet:budget' } as const

export function createBudgetRoutes(deps: BudgetRoutesDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/wallet/budgets',
      family: 'wallet',
      summary: 'Limits of spending, with what counts against them now.',
      guard: { kind: 'wallet', permission: 'wallet:read' },
      responses: { 200: shapes.BudgetList },
      handle: async ({ principal }) => ({ status: 200, body: { budgets: await budgetsOf(deps, principal) } }),
    }),
    route({
      method: 'put',
      path: '/wallet/budgets/:kind/:id',
      family: 'wallet',
      summary: 'Sets the limit of a wallet, a scope, an agent, a session or of reflection for a period.',
      guard: writes,
      params: shapes.BudgetSubject,
      owns: ['id'],
      body: shapes.BudgetOrder,
      responses: { 200: shapes.Budget },
      async handle({ principal, params, body }) {
        const order = { subject: params, period: body.period, limitMicros: BigInt(body.limitMicroUsd) }
        return { status: 200, body: await putBudget(deps, principal, order) }
      },
    }),
    route({
      method: 'delete',
      path: '/wallet/budgets/:kind/:id/:period',
      family: 'wallet',
      summary: 'Removes a limit.',
      guard: writes,
      params: shapes.BudgetParams,
      owns: ['id'],
      responses: { 200: shapes.RemovedBudget },
      async handle({ principal, params: { period, ...subject } }) {
        await removeBudget(deps, principal, { subject, period })
        return { status: 200, body: { success: true } }
      },
    }),
  ]
}
