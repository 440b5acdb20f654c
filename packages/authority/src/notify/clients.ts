import type { Authority } from '../authority.ts'
import type { ClientConfig } from '../config.ts'
import { hashSecret } from '../domain/secret.ts'

export type ClientFacts = {
  name: string
  backchannelUri?: string
  /** Of the configuration: it may be reached at addresses of this network. */
  configured: boolean
}

type Metadata = { client_id: string; client_name?: string; backchannel_logout_uri?: string }

/** What notices have to know of a client. One that is known by its metadata document alone can't be told of logouts. */
export async function clientFacts(authority: Authority, clientId: string): Promise<ClientFacts | undefined> {
  if (clientId === '') return undefined
  const known = configuredClient(authority, clientId)
  if (known) return toFacts(known as Metadata, true)
  const id = hashSecret(clientId)
  const stored = await authority.store.read({ kind: 'record', model: 'Client', id })
  if (!stored) return undefined
  return toFacts(JSON.parse(authority.seal.open(stored.payload, `Client:${id}`)) as Metadata, false)
}

function configuredClient({ config }: Authority, clientId: string): ClientConfig | undefined {
  return config.clients.find((client) => client.client_id === clientId)
}

function toFacts(client: Metadata, configured: boolean): ClientFacts {
  const { client_id, client_name, backchannel_logout_uri: backchannelUri } = client
  return { name: client_name ?? client_id, configured, ...(backchannelUri ? { backchannelUri } : {}) }
}

/** Whether a client that is registered by now wants to be told of logouts. */
export async function anyWantsLogouts({ config, store, seal }: Authority): Promise<boolean> {
  if (config.clients.some((client) => client.backchannel_logout_uri)) return true
  const stored = await store.read({ kind: 'records', model: 'Client' })
  return stored.some(({ id, payload }) => {
    const client = JSON.parse(seal.open(payload, `Client:${id}`)) as Metadata
    return client.backchannel_logout_uri !== undefined
  })
}
