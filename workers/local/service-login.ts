// A login for the processes that serve: a member of the application role with nothing behind it to go back to, whatever
// a hijacked statement sets. Its password is new at each start and is stored nowhere.
import { randomBytes } from 'node:crypto'
import pg from 'pg'

const login = 'gatehouse_service'

/** Opens the login on the server of the owner's URL, after migrations. Answers its URL, a secret. */
export async function openServiceLogin(ownerUrl: string): Promise<string> {
  const password = randomBytes(24).toString('base64url')
  const owner = new pg.Client({ connectionString: ownerUrl, application_name: 'gatehouse-service-login' })
  await owner.connect()
  try {
    const { rowCount } = await owner.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [login])
    await owner.query('BEGIN')
    await owner.query("SET LOCAL log_statement = 'none'") // the password stands in the statement
    if (rowCount === 0) await owner.query(`CREATE ROLE ${login} IN ROLE gatehouse_app`)
    await owner.query(
      `ALTER ROLE ${login} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD ${owner.escapeLiteral(password)}`,
    )
    await owner.query('COMMIT')
  } finally {
    await owner.end()
  }
  return ownerUrl.replace(/^(postgres(?:ql)?:\/\/)[^@/]*@/, `$1${login}:${password}@`)
}
