// Sessions as a table, the latest first.
import type { SessionSummary } from '../sdk/client.ts'
import type { CliDeps } from './deps.ts'
import { oneLine, printTable, timeOf } from './output.ts'

export function printSessions(deps: CliDeps, found: readonly SessionSummary[]): void {
  printTable(deps, {
    headings: ['id', 'agent', 'last active (UTC)', 'messages', 'preview'],
    rows: found.map((session) => [
      session.id,
      session.agentId,
      timeOf(session.lastActiveAt ?? session.createdAt),
      String(session.messageCount ?? 0),
      oneLine(session.preview ?? '', 60),
    ]),
    empty: 'There are no sessions yet.',
  })
}
