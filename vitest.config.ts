// One configuration for all suites. Files run one after another: the suites share two cores, a Postgres and, for the
// behaviour and end-to-end suites, a Temporal server; timings beside each other would lie.
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
