// A conversation with one session, as every command opens it.
import type { Client, SessionRef } from '../sdk/client.ts'
import { createChatView } from './chat-view.ts'
import type { CliDeps } from './deps.ts'
import type { Talk } from './turn.ts'

export type TalkFacts = {
  readonly client: Client
  readonly session: SessionRef
  readonly json: boolean
  /** `--url`, which the command that comes back needs too. */
  readonly url: string | undefined
  readonly scopeId: string | undefined
}

export function openTalk(deps: CliDeps, { client, session, json, url, scopeId }: TalkFacts): Talk {
  const { id, agentId } = session
  return {
    deps,
    client,
    session: { id, agentId },
    view: createChatView(deps, { json }),
    scopeId,
    wayBack: `npx --no gatehouse resume ${id}${url === undefined ? '' : ` --url ${url}`}`,
    tally: { turns: 0, costMicros: 0n },
  }
}
