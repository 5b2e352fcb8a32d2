// Counts in what would be state shared between workflows. Each run must answer 1: anything else means that one tenant's
// workflow can see another's memory. Run by the behaviour suite, never by the product.
const shared = { count: 0 }

export async function canary(): Promise<number> {
  shared.count += 1
  return shared.count
}
