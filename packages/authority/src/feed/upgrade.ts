import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { asRescindError } from '../http/respond.ts'
import { authenticateClient, OAuthError, readBasic } from '../oauth/client-auth.ts'

/**
 * A WebSocket handshake (RFC 6455 §4.2): only `/feed`, only for resource servers of the configuration, which
 * authenticate as OAuth clients do.
 */
export async function upgradeEndpoint(
  authority: Authority,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
) {
  socket.on('error', () => socket.destroy())
  try {
    const url = URL.parse(req.url ?? '/', authority.config.issuer)
    if (url?.pathname !== '/feed') throw new RescindError('NOT_FOUND', 'There is nothing at this address.')
    // No guard is a web page.
    if (req.headers.origin !== undefined)
      throw new RescindError('ACCESS_DENIED', 'The feed is not for browsers.')
    const presented = readBasic(req.headers.authorization ?? '')?.clientId
    // Before anything is looked up: an unknown name may be an address that would be asked.
    const known = authority.config.resources.some((one) => one.client_id === presented)
    if (presented !== undefined && !known)
      throw new OAuthError(403, 'access_denied', 'the feed is for the resource servers of the configuration')
    const client = await authenticateClient(authority, req, new Map())
    const since = url.searchParams.get('since') ?? '0'
    const tag = url.searchParams.get('tag') ?? ''
    if (!/^\d{1,15}$/.test(since) || !/^[\w-]{0,32}$/.test(tag)) {
      throw new OAuthError(
        400,
        'invalid_request',
        '`since` and `tag` are of the last revocation that was applied',
      )
    }
    const place = { seq: Number(since), tag }
    const connected = authority.feed.connect(req, socket, head, client.clientId, place)
    if (!connected)
      throw new RescindError('UNAVAILABLE', 'Too many guards are connected. Try again later.', 5)
  } catch (error) {
    refuse(socket, error instanceof OAuthError ? error : asRescindError(error))
  }
}

function refuse(socket: Duplex, error: OAuthError | RescindError) {
  const body = JSON.stringify(error)
  const headers: Record<string, string | number> = {
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(error instanceof OAuthError ? error.headers : {}),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  socket.end(
    [`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`, ...lines, '', body].join('\r\n'),
    () => socket.destroy(),
  )
}
