// What was said, sealed under the key of its session. Keys are made at the first need, kept wrapped in the database so
// that all processes share them, and kept open in memory for a minute. Content of an older version is clear and is read
// as it is; nothing is written so.
import { newSessionKey, openContent, sealContent, unwrapSessionKey, wrapSessionKey } from '../crypto/content-seal.ts'
import type { Pool } from '../db/pool.ts'
import { claimSessionKey, readSessionKeys, sessionOfTurn, type SessionKeyRow } from '../db/session-key.ts'
import type { SealedMessage } from '../db/turn-step.ts'
import { GatewayError } from '../domain/errors.ts'
import { sessionKeyCacheMs, sessionKeysInMemoryMax } from '../domain/limits.ts'
import type { Block } from '../schemas/model.ts'
import { createRecent } from './recent.ts'
import type { KeyRing } from './ports.ts'

/** Where a message stands in its session. */
type MessagePlace = {
  readonly turnId: string
  readonly kind: 'user' | 'assistant' | 'tool'
  readonly step: number
  readonly position: number
}

/** Seals and opens what belongs to one session. Opening throws `transcript-locked` for what its key does not open. */
export type Vault = {
  readonly sealMessage: (place: MessagePlace, blocks: readonly Block[]) => SealedMessage
  readonly openMessage: (row: MessagePlace & { readonly content: unknown }) => unknown
  /** A result whose message holds its beginning. */
  readonly sealWhole: (place: MessagePlace, text: string) => Buffer
  readonly openWhole: (place: MessagePlace, sealed: Uint8Array) => string
  readonly sealPreview: (text: string) => Buffer
  readonly openPreview: (row: {
    readonly preview: string | null
    readonly sealedPreview: Buffer | null
  }) => string | null
  readonly sealChunk: (place: { readonly turnId: string; readonly kind: string }, body: unknown) => unknown
  readonly openChunk: (place: { readonly turnId: string; readonly kind: string }, body: unknown) => unknown
}

export type Transcripts = {
  /** Throws `turn-cancelled` when the session was deleted. */
  readonly ofSession: (sessionId: string) => Promise<Vault>
  readonly ofTurn: (turnId: string) => Promise<Vault>
  /** Vaults of those sessions that have a key. */
  readonly ofSessions: (sessionIds: readonly string[]) => Promise<ReadonlyMap<string, Vault>>
  /** Forgets a key that was destroyed. */
  readonly forget: (sessionId: string) => void
}

export function createTranscripts(deps: { readonly pool: Pool; readonly ring: KeyRing }): Transcripts {
  const { pool } = deps
  const vaults = createRecent<Vault>({ itemsMax: sessionKeysInMemoryMax, keepMs: sessionKeyCacheMs })
  const sessions = createRecent<string>({ itemsMax: sessionKeysInMemoryMax, keepMs: sessionKeyCacheMs })
  const ofSession = (sessionId: string) =>
    vaults.get(sessionId, async () => openVault(deps, await keyRow(deps, sessionId)))
  return {
    ofSession,
    async ofTurn(turnId) {
      const sessionId = await sessions.get(turnId, async () => {
        const known = await sessionOfTurn(pool, turnId)
        if (known === undefined) throw new GatewayError('turn-cancelled', 'The turn is gone.')
        return known
      })
      return ofSession(sessionId)
    },
    async ofSessions(sessionIds) {
      const rows = sessionIds.length === 0 ? [] : await readSessionKeys(pool, sessionIds)
      const opened = rows.map(
        async (row) => [row.sessionId, await vaults.get(row.sessionId, () => openVault(deps, row))] as const,
      )
      return new Map(await Promise.all(opened))
    },
    forget: (sessionId) => vaults.forget(sessionId),
  }
}

type Deps = { readonly pool: Pool; readonly ring: KeyRing }

// Never inside a caller's transaction: a key that is rolled back after it was used would lose what it sealed.
async function keyRow({ pool, ring }: Deps, sessionId: string): Promise<SessionKeyRow> {
  const [known] = await readSessionKeys(pool, [sessionId])
  if (known) return known
  const wrapping = await ring.active()
  const wrapped = wrapSessionKey(wrapping, sessionId, newSessionKey())
  const claimed = await claimSessionKey(pool, { sessionId, version: wrapping.version, wrapped })
  if (!claimed) throw new GatewayError('turn-cancelled', 'The session was deleted.')
  return claimed
}

async function openVault({ ring }: Deps, { sessionId, version, wrapped }: SessionKeyRow): Promise<Vault> {
  const wrapping = await ring.of(version)
  if (!wrapping) throw locked(`Version ${version} of the transcript key is not here.`)
  return vaultOf(
    sessionId,
    opening(() => unwrapSessionKey({ version, key: wrapping }, sessionId, wrapped)),
  )
}

function vaultOf(sessionId: string, key: Buffer): Vault {
  const seal = (place: readonly string[], clear: string) => sealContent(key, [sessionId, ...place], Buffer.from(clear))
  const open = (place: readonly string[], sealed: Uint8Array) =>
    opening(() => openContent(key, [sessionId, ...place], sealed)).toString('utf8')
  const sealJson = (place: readonly string[], value: unknown) => ({
    sealed: seal(place, JSON.stringify(value) ?? 'null').toString('base64'),
  })
  const openJson = (place: readonly string[], stored: unknown): unknown =>
    isSealed(stored) ? JSON.parse(open(place, Buffer.from(stored.sealed, 'base64'))) : stored
  return {
    sealMessage: (place, blocks) => ({ content: sealJson(placeOf(place), blocks), ...sizeOf(blocks) }),
    openMessage: (row) => openJson(placeOf(row), row.content),
    sealWhole: (place, text) => seal([...placeOf(place), 'whole'], text),
    openWhole: (place, sealed) => open([...placeOf(place), 'whole'], sealed),
    sealPreview: (text) => seal(['preview'], text),
    openPreview: ({ preview, sealedPreview }) => (sealedPreview === null ? preview : open(['preview'], sealedPreview)),
    sealChunk: ({ turnId, kind }, body) => sealJson([turnId, 'chunk', kind], body),
    openChunk: ({ turnId, kind }, body) => openJson([turnId, 'chunk', kind], body),
  }
}

const placeOf = ({ turnId, kind, step, position }: MessagePlace) => [turnId, kind, step.toString(), position.toString()]

function sizeOf(blocks: readonly Block[]): { bytes: number; images: number } {
  const words = blocks.filter(({ type }) => type !== 'image')
  const bytes = words.reduce((sum, block) => sum + Buffer.byteLength(JSON.stringify(block)), 0)
  return { bytes, images: blocks.length - words.length }
}

function isSealed(stored: unknown): stored is { readonly sealed: string } {
  return typeof stored === 'object' && stored !== null && 'sealed' in stored && typeof stored.sealed === 'string'
}

const locked = (message: string, cause?: unknown) => new GatewayError('transcript-locked', message, { cause })

function opening<T>(open: () => T): T {
  try {
    return open()
  } catch (cause) {
    throw locked('The transcript does not open with the key of this installation.', cause)
  }
}
