import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority, Origins } from '../authority.ts'

/** What a page may read. `Date` lets a device whose clock is wrong make DPoP proofs that are of now. */
export const EXPOSED = 'WWW-Authenticate, Retry-After, Preference-Applied, Date'
/** Of clients that registered themselves; those of the configuration are never crowded out. */
const MAX_ORIGINS = 10_000
const MAX_ORIGINS_OF_ONE = 20

/** The origins of browser apps: where redirect URIs point. A native app's scheme has none. */
export function createOrigins(): Origins {
  let configured = new Set<string>()
  const registered = new Set<string>()
  return {
    configure(clients) {
      const uris = clients.flatMap(({ redirect_uris }) => (redirect_uris as string[] | undefined) ?? [])
      configured = new Set(uris.flatMap(originOf))
    },
    add(redirectUris) {
      for (const origin of redirectUris.slice(0, MAX_ORIGINS_OF_ONE).flatMap(originOf)) registered.add(origin)
      for (const oldest of registered) {
        if (registered.size <= MAX_ORIGINS) break
        registered.delete(oldest)
      }
    },
    has: (origin) => configured.has(origin) || registered.has(origin),
  }
}

function originOf(uri: string): string[] {
  const url = URL.parse(uri)
  return url && /^https?:$/.test(url.protocol) ? [url.origin] : []
}

/** The origins of all clients that are registered at start. */
export async function loadOrigins({ config, store, seal, origins }: Authority): Promise<void> {
  origins.configure(config.clients)
  for (const { id, payload } of await store.read({ kind: 'records', model: 'Client' })) {
    const client = JSON.parse(seal.open(payload, `Client:${id}`)) as { redirect_uris?: string[] }
    origins.add(client.redirect_uris ?? [])
  }
}

/**
 * Lets the browser apps of registered clients read the answer (Fetch standard, CORS protocol). Never with
 * credentials: apps prove themselves with tokens, and cookies are for our own pages.
 * @returns true when it was a preflight, which is answered
 */
export function cors(origins: Origins, req: IncomingMessage, res: ServerResponse): boolean {
  res.setHeader('vary', 'Origin')
  const { origin } = req.headers
  const allowed = origin !== undefined && origins.has(origin)
  if (allowed) {
    res.setHeader('access-control-allow-origin', origin)
    res.setHeader('access-control-expose-headers', EXPOSED)
  }
  if (req.method !== 'OPTIONS') return false
  if (allowed) {
    res.setHeader('access-control-allow-methods', 'GET, POST, PUT, PATCH, DELETE')
    res.setHeader(
      'access-control-allow-headers',
      'Authorization, Content-Type, DPoP, Prefer, Last-Event-ID, MCP-Protocol-Version, Mcp-Method, Mcp-Name',
    )
    res.setHeader('access-control-max-age', '600')
  }
  res.writeHead(204)
  res.end()
  return true
}
