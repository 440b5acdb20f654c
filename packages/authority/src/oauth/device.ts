import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { KoaContextWithOIDC } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import type { SeenDevice } from '../domain/device.ts'
import { type DeviceSource, deviceCookie, deviceId, hashSecret, readDeviceCookie } from '../domain/secret.ts'
import type { Session } from '../domain/session.ts'
import { addressOf } from '../http/address.ts'
import { placeOf } from '../places.ts'
import { plain } from '../plain.ts'
import { describeUserAgent, MAX_USER_AGENT } from '../user-agent.ts'
import { errors } from './library.ts'
import { currentUnit, readInUnit } from './unit.ts'

/*
 * Which device a session is on. A browser shows that by a cookie that it gets when somebody signs in; an app may name
 * its device itself. What the browser showed is kept beside the grant until its code is exchanged, because then it is
 * the app that asks.
 */

const MODEL = 'SignIn'
/** 400 days, the longest that browsers keep a cookie, in seconds. */
const COOKIE_LIFE = 400 * 86_400
/** As long as a code lives, in seconds. */
const FACTS_LIFE = 300
const MAX_NAME = 60

/** What is known of the browser in which somebody signed in; `cookie` is the id in its device cookie. */
type Facts = { cookie?: string; userAgent: string; address: string }

/** Lets the browser be known again, now that somebody has signed in; the one that it has is kept on. */
export function rememberDevice(authority: Authority, req: IncomingMessage, res: ServerResponse): void {
  const known = cookieIn(authority, req)
  const id = known === undefined ? randomBytes(16) : Buffer.from(known, 'base64url')
  const { name, secure } = cookieOf(authority)
  const value = deviceCookie(id, authority.ring().secrets)
  const attributes = `Path=/; Max-Age=${COOKIE_LIFE}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  res.appendHeader('set-cookie', `${name}=${value}; ${attributes}`)
}

function cookieOf({ config }: Authority) {
  const secure = config.issuer.startsWith('https:')
  return { secure, name: secure ? '__Host-rescind-device' : 'rescind-device' }
}

function cookieIn(authority: Authority, req: IncomingMessage): string | undefined {
  const { name } = cookieOf(authority)
  for (const pair of (req.headers.cookie ?? '').split(';')) {
    const [key = '', value = ''] = pair.trim().split(/=(.*)/s)
    const id = key === name ? readDeviceCookie(value, authority.ring().secrets) : undefined
    if (id !== undefined) return id
  }
  return undefined
}

/** The id that a device of an account has, when it comes in a browser that somebody has signed in with. */
export function deviceShown(authority: Authority, req: IncomingMessage, sub: string): string | undefined {
  const cookie = cookieIn(authority, req)
  return cookie === undefined ? undefined : deviceId(sub, ['cookie', cookie], authority.ring().secrets)
}

/** Notes, in the request's unit, in which browser a grant was made. */
export function noteBrowser(authority: Authority, req: IncomingMessage, grantId: string): void {
  const { seal, now, config } = authority
  const cookie = cookieIn(authority, req)
  const facts: Facts = {
    ...(cookie === undefined ? {} : { cookie }),
    userAgent: plain(`${req.headers['user-agent'] ?? ''}`, MAX_USER_AGENT),
    address: addressOf(req, config.trustProxy),
  }
  const id = hashSecret(grantId)
  const payload = seal.close(JSON.stringify(facts), `${MODEL}:${id}`)
  const expiresAt = Math.floor(now() / 1000) + FACTS_LIFE
  currentUnit().records.push({ op: 'put', model: MODEL, id, payload, expiresAt })
}

/**
 * The device that a code exchange opens its session on.
 * @throws InvalidRequest when the app names its device in a way that is not allowed
 */
export async function deviceOf(
  authority: Authority,
  ctx: KoaContextWithOIDC,
  { sid, sub, clientId, browser, openedAt }: Session,
): Promise<SeenDevice> {
  const own = ownName(ctx)
  const facts = await takeFacts(authority, sid)
  const address = facts?.address ?? addressOf(ctx.req, authority.config.trustProxy)
  const said = describeUserAgent(facts?.userAgent ?? '')
  const signIn: DeviceSource = facts?.cookie ? ['cookie', facts.cookie] : ['browser', browser ?? sid]
  const source: DeviceSource = own === undefined ? signIn : ['app', clientId, own]
  const client = plain(ctx.oidc.client?.clientName ?? clientId, MAX_NAME) || 'An app'
  const asApp = { name: said.os ? `${client} on ${said.os}` : client, kind: 'app' as const }
  return {
    ...{ ...said, ...(own === undefined ? {} : asApp) },
    ...{ id: deviceId(sub, source, authority.ring().secrets), sub, lastSeen: openedAt, address },
    place: await placeOf(authority.locate, address),
  }
}

/** The `device_id` of the token request: what an app calls the device that it runs on. */
function ownName({ oidc }: KoaContextWithOIDC): string | undefined {
  const own: unknown = oidc.body?.device_id
  if (own === undefined) return undefined
  if (typeof own === 'string' && /^[\x21-\x7e]{8,128}$/.test(own)) return own
  throw new errors.InvalidRequest('device_id has 8 to 128 printable characters without spaces')
}

/** What was noted of the browser; it is used up. */
async function takeFacts({ store, seal }: Authority, grantId: string): Promise<Facts | undefined> {
  const id = hashSecret(grantId)
  const stored = await readInUnit(store, { kind: 'record', model: MODEL, id })
  if (!stored) return undefined
  currentUnit().records.push({ op: 'delete', model: MODEL, id })
  return JSON.parse(seal.open(stored.payload, `${MODEL}:${id}`)) as Facts
}
