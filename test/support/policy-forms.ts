// Policies of any form as files, and questions about tools that are asked of them.
import { readFileSync } from 'node:fs'
import { compilePolicy } from '../../config/policy/compile.ts'
import { decide, policySet, type Decision, type PolicySet } from '../../domain/policy/combine.ts'
import type { Facts, Policy, Question } from '../../domain/policy/rule.ts'
import { classifyTool, type EffectClass } from '../../domain/tool.ts'
import { compileCondition } from '../../gateway/expression/compile.ts'
import { personWith } from '../gateway/fixture.ts'

const folder = 'test/fixtures/policies'
export const textOf = (name: string) => readFileSync(`${folder}/${name}`, 'utf8')
export const load = (name: string, text = textOf(name)): Policy =>
  compilePolicy(`policy/${name}`, text, compileCondition)
export const setOf = (...policies: Policy[]): PolicySet =>
  policySet({ policyId: 'set', version: 1, epoch: 1, rules: policies.flatMap(({ rules }) => rules) })

export type Asked = {
  readonly tool: string
  readonly tenant?: string
  readonly roles?: readonly ('owner' | 'approver')[]
  readonly scopes?: readonly string[]
  readonly effectClass?: EffectClass
  readonly facts?: Partial<Facts>
  readonly list?: boolean
}

/** What an agent of the person is answered. */
export function ask(set: PolicySet, asked: Asked): Decision {
  const { tool, tenant = 'acme', roles = ['owner'], scopes = [], list = false } = asked
  const principal = personWith({ tenant, roles, scopes, actorChain: [{ kind: 'agent', id: 'assistant' }] })
  const effectClass = asked.effectClass ?? classifyTool(tool.split('/')[1] ?? '', undefined, undefined)
  const question: Question = {
    principal,
    session: null,
    action: list ? 'tool.list' : 'tool.call',
    resource: { kind: 'tool', name: tool, effectClass, owner: principal.wallet },
    facts: { phase: list ? 'list' : 'call', arguments: list ? null : {}, ...asked.facts },
  }
  return decide(set, question)
}
