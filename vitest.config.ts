// One configuration for all suites. Files run one after another unless `scripts/test.ts` says two at once: the suites
// share two cores and a Postgres, and timings beside each other would lie.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default'],
  },
})
