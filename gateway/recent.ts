// Answers that were made lately, so many and so long. Callers of one name share one making; a failure is not kept.

export type Recent<T> = {
  readonly get: (name: string, make: () => Promise<T>) => Promise<T>
  readonly forget: (name: string) => void
}

type Kept<T> = { readonly answer: Promise<T>; readonly until: number }

export function createRecent<T>({ itemsMax, keepMs }: { itemsMax: number; keepMs: number }): Recent<T> {
  const kept = new Map<string, Kept<T>>()
  return {
    get(name, make) {
      const known = kept.get(name)
      if (known && known.until > performance.now()) return known.answer
      const answer = make()
      const entry = { answer, until: performance.now() + keepMs }
      kept.delete(name)
      kept.set(name, entry)
      answer.catch(() => kept.get(name) === entry && kept.delete(name))
      const [oldest] = kept.keys()
      if (kept.size > itemsMax && oldest !== undefined) kept.delete(oldest)
      return answer
    },
    forget: (name) => void kept.delete(name),
  }
}
