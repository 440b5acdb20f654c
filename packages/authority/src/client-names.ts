import type { Authority } from './authority.ts'
import { plain } from './plain.ts'

const MAX_NAME = 60

/** What people call a client. Nothing is fetched for it: a client that describes itself at a URL goes by its host. */
export async function clientName(authority: Authority, clientId: string): Promise<string> {
  const configured = authority.config.clients.find((one) => one.client_id === clientId)
  const host = configured ? undefined : URL.parse(clientId)?.host
  const registered = configured || host ? undefined : await authority.provider().find(clientId)
  return plain(`${configured?.client_name ?? host ?? registered?.clientName ?? clientId}`, MAX_NAME)
}

/** The names of several clients, by their ids. */
export async function clientNames(authority: Authority, clientIds: string[]): Promise<Map<string, string>> {
  const named = [...new Set(clientIds)].map(async (id) => [id, await clientName(authority, id)] as const)
  return new Map(await Promise.all(named))
}
