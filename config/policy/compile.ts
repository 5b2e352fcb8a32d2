// A policy file of any form, compiled into the one rule form. The form is seen by its own keys, never by the file's name.
import type { CompileCondition, Policy } from '../../domain/policy/rule.ts'
import { compileNative } from './native.ts'

/** Compiles one file. `name` stands in faults and in the source of its rules. Throws PolicyError with every fault. */
export function compilePolicy(name: string, text: string, compileCondition: CompileCondition): Policy {
  return compileNative(name, text, compileCondition)
}
