// A policy file of any form, compiled into the one rule form. The form is seen by its own keys, never by the file's name.
import type { CompileCondition, Policy } from '../../domain/policy/rule.ts'
import { compileAgentgateway } from './agentgateway.ts'
import { compileEntitlements } from './entitlements.ts'
import { compileNative } from './native.ts'
import { compileToolGateway } from './tool-gateway.ts'
import { PolicyError, readDocuments, type YamlSource } from './yaml.ts'

/** Keys of the top of a document by which its form is known. One of them is enough. */
const forms = {
  native: ['policy', 'rules'],
  resource: ['apiVersion', 'kind'],
  entitlements: ['entitlements'],
  'tool gateway': ['tools', 'default_retention', 'sec0_export'],
} as const
type Form = keyof typeof forms

/** Compiles one file. `name` stands in faults and in the source of its rules. Throws PolicyError with every fault. */
export function compilePolicy(name: string, text: string, compileCondition: CompileCondition): Policy {
  const documents = readDocuments(name, text)
  const found = [...new Set(documents.flatMap(formsOf))]
  const [first, second] = documents
  const [form] = found
  if (first === undefined || form === undefined)
    throw new PolicyError([`${name}:1: is no form of policy that is known`])
  if (found.length > 1) throw new PolicyError([`${name}:1: is several forms of policy at once: ${found.join(', ')}`])
  if (form === 'resource') return compileAgentgateway(documents, compileCondition)
  if (second !== undefined)
    throw new PolicyError([`${name}:${second.lineOf([])}: this form has one document in a file`])
  if (form === 'native') return compileNative(first, compileCondition)
  return form === 'entitlements' ? compileEntitlements(first) : compileToolGateway(first, compileCondition)
}

function formsOf({ value }: YamlSource): Form[] {
  if (typeof value !== 'object' || value === null) return []
  return (Object.keys(forms) as Form[]).filter((form) => forms[form].some((key) => Object.hasOwn(value, key)))
}
