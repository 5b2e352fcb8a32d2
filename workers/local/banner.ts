// The block a person reads when everything is ready.
import type { RunFile } from './run-file.ts'

export type BannerFacts = {
  readonly run: RunFile
  /** Absent: it was ready before we looked. */
  readonly readySeconds?: number
  readonly environment: string
  /** The state folder as the person named it. */
  readonly stateDir: string
}

/** The lines of the block, one name per line, and three commands to try. */
export function banner({ run, readySeconds, environment, stateDir }: BannerFacts): string {
  const row = (name: string, text: string, note = '') =>
    `  ${name.padEnd(12)}${note === '' ? text : text.padEnd(42)}${note}`
  const [first, ...more] = run.api
  const rows = [
    `  ${`Gatehouse (${environment})`.padEnd(54)}${readySeconds === undefined ? `since ${run.startedAt}` : `ready in ${readySeconds.toFixed(1)} s`}`,
    row('API', first ?? '', more.length === 0 ? '' : `and ${more.join(', ')}`),
    row('Temporal', run.temporalAddress, run.temporalUi === null ? '' : `UI ${run.temporalUi}`),
    row(
      'Model',
      run.model === null ? 'Anthropic' : 'scripted (offline)',
      run.model === null ? '' : 'set ANTHROPIC_API_KEY to use Claude',
    ),
    row('Tools', 'everything (stdio), workbench (http)', 'two MCP servers'),
    row('Attestation', 'none on this host', 'posture: degraded_no_attestation'),
    row('Data', `${stateDir}/`, environment === 'production' ? '' : 'npm run reset to start over'),
    ...(run.demo.length === 0
      ? []
      : [row('Identities', run.demo.map((each) => each.name).join(', '), 'gatehouse login --identity NAME')]),
  ]
  const decode =
    run.temporalUi === null
      ? []
      : [
          '',
          '  To read payloads in the Temporal UI: log in as maintainer and open the address that `npx --no gatehouse link`',
          '  prints. In the UI click the glasses, choose "Use my browser setting", enter this endpoint and switch on',
          `  "Include cross-origin credentials": ${first}/temporal/codec`,
          '  Everybody else sees ciphertext.',
        ]
  const tries =
    environment === 'production'
      ? ['', '  Look after it with `npm run status`, `npm run doctor` and `npm run audit:verify`.']
      : [
          '',
          '  Try, in another terminal:',
          '    npx --no gatehouse login --new',
          '    npx --no gatehouse chat assistant "add 2 and 40 with the tool"',
          '    npx --no gatehouse wallet transactions',
        ]
  return ['', ...rows, ...decode, ...tries, '', '  Ctrl-C stops everything.', ''].join('\n')
}
