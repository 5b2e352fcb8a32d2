// What a proof is: given a seed, it says whether the claim held, and prints what it saw.
export type ProofOptions = { readonly seed: number; readonly rounds?: number; readonly print: (line: string) => void }
export type Proof = (options: ProofOptions) => Promise<boolean>

/** Small seeded generator (mulberry32): the same seed, the same moments. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
