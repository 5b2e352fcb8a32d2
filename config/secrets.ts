// The secrets of the installation that must stand in nothing that it says, each with the name of its variable.
import type { KnownSecret } from '../domain/redaction.ts'
import { redactedCharsMin } from '../domain/limits.ts'
import type { Config } from './load.ts'

/** What to look for. A value too short to be told from ordinary words is left out. */
export function knownSecrets({ secrets }: Pick<Config, 'secrets'>): readonly KnownSecret[] {
  const known = [
    { name: 'ANTHROPIC_API_KEY', value: secrets.anthropicApiKey?.reveal() },
    { name: 'GATEHOUSE_MASTER_KEY', value: secrets.masterKey?.reveal() },
    { name: 'DATABASE_URL', value: passwordOf(secrets.databaseUrl?.reveal()) },
    { name: 'DATABASE_OWNER_URL', value: passwordOf(secrets.databaseOwnerUrl?.reveal()) },
  ]
  return known.flatMap(({ name, value = '' }) => (value.length < redactedCharsMin ? [] : [{ name, value }]))
}

// Not by the URL standard, which knows no empty host.
function passwordOf(databaseUrl: string | undefined): string | undefined {
  const password = /^[a-z]+:\/\/[^:@/]*:([^@/]*)@/.exec(databaseUrl ?? '')?.[1]
  try {
    return password === undefined ? undefined : decodeURIComponent(password)
  } catch {
    return password
  }
}
