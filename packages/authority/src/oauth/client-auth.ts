import type { IncomingMessage } from 'node:http'
import type { Authority } from '../authority.ts'
import { sameSecret } from '../domain/secret.ts'
import { addressOf } from '../http/address.ts'

/** A client that has said, and where it has a secret proved, who it is (RFC 6749 §2.3). */
export type AuthenticatedClient = { clientId: string; confidential: boolean }

/** An OAuth error (RFC 6749 §5.2), answered as `{ error, error_description }`. */
export class OAuthError extends Error {
  readonly status: number
  readonly error: string
  readonly headers: Record<string, string>

  constructor(status: number, error: string, description: string, headers: Record<string, string> = {}) {
    super(description)
    this.status = status
    this.error = error
    this.headers = headers
  }

  toJSON() {
    return { error: this.error, error_description: this.message }
  }
}

function invalidClient(): OAuthError {
  return new OAuthError(401, 'invalid_client', 'client authentication failed', {
    'www-authenticate': 'Basic realm="rescind", charset="UTF-8"',
  })
}

/**
 * Authenticates a client by the method that it registered: `client_secret_basic`, `client_secret_post`, or
 * `none` for a public client that only names itself. Client records are the protocol library's.
 * @throws OAuthError invalid_client, invalid_request; RescindError RATE_LIMITED
 */
export async function authenticateClient(
  authority: Authority,
  req: IncomingMessage,
  form: Map<string, string>,
): Promise<AuthenticatedClient> {
  try {
    return await authenticated(authority, req, form)
  } catch (error) {
    if (error instanceof OAuthError && error.status === 401)
      authority.limits.badClient.spend(addressOf(req, authority.config.trustProxy))
    throw error
  }
}

async function authenticated(
  authority: Authority,
  req: IncomingMessage,
  form: Map<string, string>,
): Promise<AuthenticatedClient> {
  const presented = credentials(req, form)
  // Who is named by an address has no secret, and need not be looked up there to be refused.
  if (presented.method !== 'none' && URL.canParse(presented.clientId)) throw invalidClient()
  const client = await authority.provider().find(presented.clientId)
  if (!client || client.clientAuthMethod !== presented.method) throw invalidClient()
  if (presented.method === 'none') return { clientId: client.clientId, confidential: false }
  if (!client.clientSecret || !sameSecret(client.clientSecret, presented.secret)) throw invalidClient()
  return { clientId: client.clientId, confidential: true }
}

function credentials(req: IncomingMessage, form: Map<string, string>) {
  const header = req.headers.authorization
  const posted = form.get('client_secret')
  if (header !== undefined) {
    if (posted !== undefined) {
      throw new OAuthError(400, 'invalid_request', 'use one way to authenticate the client, not two')
    }
    const basic = readBasic(header)
    if (!basic || (form.get('client_id') ?? basic.clientId) !== basic.clientId) throw invalidClient()
    return { ...basic, method: 'client_secret_basic' }
  }
  const clientId = form.get('client_id')
  if (!clientId) throw invalidClient()
  return posted === undefined
    ? { clientId, secret: '', method: 'none' }
    : { clientId, secret: posted, method: 'client_secret_post' }
}

/** Reads `Authorization: Basic`, whose parts are form-encoded first (RFC 6749 §2.3.1). */
export function readBasic(header: string): { clientId: string; secret: string } | undefined {
  const [, encoded] = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header) ?? []
  if (!encoded) return undefined
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon < 1) return undefined
  try {
    const decode = (part: string) => decodeURIComponent(part.replaceAll('+', ' '))
    return { clientId: decode(pair.slice(0, colon)), secret: decode(pair.slice(colon + 1)) }
  } catch {
    return undefined
  }
}
