import { createHmac } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Authority } from '../authority.ts'
import type { DueDelivery } from '../store/deliveries.ts'
import { clientFacts } from './clients.ts'
import type { LogoutPayload, WebhookPayload } from './plan.ts'
import { type Answer, NotPublic, post } from './post.ts'

/** How an attempt went. `after` is how long the receiver wants to be left alone, in ms. */
export type Attempt =
  | { kind: 'delivered' }
  | { kind: 'failed'; why: string; after?: number }
  /** It will never be taken. */
  | { kind: 'refused'; why: string }

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** How long a logout token is good for, in seconds. */
const LOGOUT_TOKEN_LIFE = 120

/** Sends an event, signed by Standard Webhooks. Any 2xx takes it; 410 says that nobody will ever. */
export async function sendWebhook(
  { config, seal, now }: Authority,
  delivery: DueDelivery,
  signal: AbortSignal,
): Promise<Attempt> {
  const { url, body } = JSON.parse(seal.open(delivery.payload, `delivery:${delivery.id}`)) as WebhookPayload
  const known = config.webhooks.find((one) => one.url === url)
  if (!known) return { kind: 'refused', why: 'it is no longer in the configuration' }
  const timestamp = `${Math.floor(now() / 1000)}`
  const headers = {
    'content-type': 'application/json',
    'webhook-id': delivery.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signWebhook(known.secret, delivery.id, timestamp, body)}`,
  }
  const answer = await post(url, { headers, body, anywhere: true, signal })
  if (answer.status >= 200 && answer.status < 300) return { kind: 'delivered' }
  return answer.status === 410 ? { kind: 'refused', why: 'it answered 410' } : failed(answer, now())
}

/** The signature of Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, base64. */
export function signWebhook(secret: string, id: string, timestamp: string, body: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  return createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
}

/** Tells a client that a session has ended (OpenID Connect Back-Channel Logout 1.0 §2.5). */
export async function sendLogout(
  authority: Authority,
  delivery: DueDelivery,
  signal: AbortSignal,
): Promise<Attempt> {
  const { seal, now } = authority
  const { clientId, uri, sub, sid } = JSON.parse(
    seal.open(delivery.payload, `delivery:${delivery.id}`),
  ) as LogoutPayload
  const client = await clientFacts(authority, clientId)
  if (client?.backchannelUri !== uri) return { kind: 'refused', why: 'it is no longer registered' }
  const jti = `${delivery.id}.${delivery.attempts}`
  const token = await logoutToken(authority, { clientId, sub, sid, jti })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const body = new URLSearchParams({ logout_token: token }).toString()
  try {
    const answer = await post(uri, { headers, body, anywhere: client.configured, signal })
    if (answer.status === 200 || answer.status === 204) return { kind: 'delivered' }
    return answer.status === 400 ? { kind: 'refused', why: 'it answered 400' } : failed(answer, now())
  } catch (error) {
    if (error instanceof NotPublic) return { kind: 'refused', why: error.message }
    throw error
  }
}

/** A logout token (§2.4), signed with the key of the moment at which it is sent. */
function logoutToken(
  { config, ring, now }: Authority,
  { clientId, sub, sid, jti }: { clientId: string; sub: string; sid: string; jti: string },
): Promise<string> {
  const iat = Math.floor(now() / 1000)
  const whose = { iss: config.issuer, aud: clientId, sub, sid, jti }
  const { signing } = ring()
  return new SignJWT({ ...whose, iat, exp: iat + LOGOUT_TOKEN_LIFE, events: { [LOGOUT_EVENT]: {} } })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'logout+jwt', kid: signing.kid })
    .sign(signing.key)
}

function failed({ status, retryAfter }: Answer, now: number): Attempt {
  const after = retryAfter === undefined ? undefined : readRetryAfter(retryAfter, now)
  return { kind: 'failed', why: `it answered ${status}`, ...(after === undefined ? {} : { after }) }
}

/** RFC 9110 §10.2.3: seconds, or a date; in ms from now. */
export function readRetryAfter(text: string, now: number): number | undefined {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isFinite(ms) && ms > 0 ? ms : undefined
}
