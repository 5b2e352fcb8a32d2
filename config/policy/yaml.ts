// YAML of a policy with its lines, and the error that carries every fault of it. Aliases are bounded: a few lines of YAML
// must not unfold into gigabytes.
import { isMap, isSeq, LineCounter, parseAllDocuments, type Document, type Node } from 'yaml'
import { policyAliasesMax, policyDocumentsMax, policyFileBytesMax } from '../../domain/limits.ts'

/** Raised with every fault of a policy file, one line each: `file:line: what`. */
export class PolicyError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(`The policy is not usable:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
    this.name = 'PolicyError'
    this.faults = faults
  }
}

export type YamlSource = {
  readonly name: string
  readonly value: unknown
  /** Line, from 1, of the deepest part of a path that exists. */
  readonly lineOf: (path: readonly PropertyKey[]) => number
}

/** Reads every document of a file that holds something. Throws PolicyError for what is no YAML. */
export function readDocuments(name: string, text: string): YamlSource[] {
  if (Buffer.byteLength(text) > policyFileBytesMax) {
    throw new PolicyError([`${name}:1: is larger than ${policyFileBytesMax} bytes`])
  }
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines })
  const documents = Array.isArray(parsed) ? parsed : []
  const faults = documents
    .flatMap(({ errors, warnings }) => [...errors, ...warnings])
    .map((error) => `${name}:${lines.linePos(error.pos[0]).line}: ${error.message.split('\n')[0] ?? ''}`)
  if (documents.length > policyDocumentsMax) faults.push(`${name}:1: has more than ${policyDocumentsMax} documents`)
  if (faults.length > 0) throw new PolicyError(faults)
  return documents
    .filter(({ contents }) => contents !== null)
    .map((document) => ({
      name,
      value: valueOf(name, document),
      lineOf: (path) => lineOf(document, lines, path),
    }))
}

function valueOf(name: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: policyAliasesMax })
  } catch (error) {
    throw new PolicyError([`${name}:1: ${error instanceof Error ? error.message : 'cannot be read'}`])
  }
}

function lineOf(document: Document.Parsed, lines: LineCounter, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents
  for (const part of path) {
    const next: unknown = isMap(node) || isSeq(node) ? node.get(part, true) : undefined
    if (next === undefined || next === null) break
    node = next
  }
  const start = (node as Node | null)?.range?.[0]
  return start === undefined ? 1 : lines.linePos(start).line
}
