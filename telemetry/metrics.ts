// Counters and histograms of one process, in Prometheus's text form. Labels are few and of low cardinality: kinds and
// codes, never ids.

export type Labels = Readonly<Record<string, string>>

export type Metrics = {
  readonly count: (name: string, labels?: Labels, by?: number) => void
  readonly observe: (name: string, seconds: number, labels?: Labels) => void
  /** Prometheus text exposition format 0.0.4. */
  readonly text: () => string
}

const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const seriesMax = 2_000 // a label that explodes is a bug; the process must not grow with it

type Histogram = { readonly counts: number[]; sum: number; count: number }

const keyOf = (name: string, labels: Labels) => {
  const pairs = Object.entries(labels)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}="${value.replace(/[\\"\n]/g, '_')}"`)
  return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`
}

export function createMetrics(): Metrics {
  const counters = new Map<string, number>()
  const histograms = new Map<string, Histogram>()
  return {
    count(name, labels = {}, by = 1) {
      const key = keyOf(`gatehouse_${name}_total`, labels)
      if (counters.has(key) || counters.size < seriesMax) counters.set(key, (counters.get(key) ?? 0) + by)
    },
    observe(name, seconds, labels = {}) {
      const key = keyOf(`gatehouse_${name}_seconds`, labels)
      const known = histograms.get(key)
      if (!known && histograms.size >= seriesMax) return
      const histogram = known ?? { counts: buckets.map(() => 0), sum: 0, count: 0 }
      if (!known) histograms.set(key, histogram)
      buckets.forEach((bound, index) => {
        if (seconds <= bound) histogram.counts[index] = (histogram.counts[index] ?? 0) + 1
      })
      histogram.sum += seconds
      histogram.count += 1
    },
    text: () =>
      [...[...counters].map(([key, value]) => `${key} ${value}`), ...[...histograms].flatMap(histogramLines)].join(
        '\n',
      ) + '\n',
  }
}

function histogramLines([key, histogram]: [string, Histogram]): string[] {
  const [name = key, rest] = key.split(/\{|\}/)
  const withLabels = (suffix: string, extra: string) => {
    const inner = [rest, extra].filter((part) => part !== undefined && part !== '').join(',')
    return `${name}${suffix}${inner === '' ? '' : `{${inner}}`}`
  }
  return [
    ...buckets.map((bound, index) => `${withLabels('_bucket', `le="${bound}"`)} ${histogram.counts[index] ?? 0}`),
    `${withLabels('_bucket', 'le="+Inf"')} ${histogram.count}`,
    `${withLabels('_sum', '')} ${histogram.sum}`,
    `${withLabels('_count', '')} ${histogram.count}`,
  ]
}
