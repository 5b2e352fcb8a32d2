// Signs in, takes play money, asks the assistant and tells the answer with its cost: all there is to a client beside
// `npm start`. The SDK never sees a key: any wallet that signs a text will do, such as an account of viem.
import { createClient, formatMicros, type Signer } from '@gatehouse/sdk'

export type Question = {
  readonly baseUrl: string
  readonly signer: Signer
  readonly text: string
  readonly tell: (line: string) => void
}

/** Asks once, in a session of its own. Throws GatehouseError when refused. */
export async function ask({ baseUrl, signer, text, tell }: Question): Promise<void> {
  const client = createClient({ baseUrl })
  await client.auth.login(signer)
  await client.wallet.faucet()
  const session = await client.sessions.create('assistant')
  let answer = ''
  for await (const event of client.chat(session, text)) {
    if (event.type === 'text') answer += event.data
    if (event.type === 'tool_call') tell(`→ ${event.data.name} ${JSON.stringify(event.data.args)}`)
    if (event.type === 'done') tell(`${answer} (${event.data.cost})`)
    if (event.type === 'error') tell(`The turn ended: ${event.data.message}`)
  }
  const { availableBalance } = await client.wallet.balance()
  tell(`${formatMicros(availableBalance)} left`)
}
