import { createHmac, hash, timingSafeEqual } from 'node:crypto'

/*
 * Refresh tokens and logout tickets are opaque to everybody else. To us they say which session they are of,
 * so that no index over their hashes is needed, and carry a tag that only this authority can make: a made-up
 * token is refused without asking the store, and a token that was used long ago is still known as ours
 * without a row being kept for it.
 */

/**
 * The keys behind our opaque secrets: `tag` marks them as ours, `successor` derives the next refresh token, `device` the
 * names of devices.
 */
export type SecretKeys = { tag: Uint8Array; successor: Uint8Array; device: Uint8Array }

export type RefreshTokenParts = { kind: 'refresh_token'; sid: string; generation: number; hash: string }
export type TicketParts = { kind: 'logout_ticket'; sid: string; hash: string }

const SID_BYTES = 16
const SECRET_BYTES = 32
const TAG_BYTES = 16
const REFRESH_PREFIX = 'rt_'
const TICKET_PREFIX = 'lt_'
const DEVICE_PREFIX = 'dc_'
const REFRESH_BYTES = SID_BYTES + 4 + SECRET_BYTES + TAG_BYTES
const TICKET_BYTES = SID_BYTES + SECRET_BYTES + TAG_BYTES

/** The SHA-256 of a secret, base64url: the only form in which one is stored. */
export function hashSecret(secret: string): string {
  return hash('sha256', secret, 'base64url')
}

/** Whether two secrets, or two hashes, are equal, in constant time; how long they are may be seen. */
export function sameSecret(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/**
 * A session id: 48 bits of time, so that sessions opened together are stored together, and 80 random bits.
 * @param now the time in ms
 * @param random at least 10 random bytes
 */
export function newSid(now: number, random: Uint8Array): string {
  const bytes = Buffer.alloc(SID_BYTES)
  bytes.writeUIntBE(now, 0, 6)
  bytes.set(random.subarray(0, 10), 6)
  return bytes.toString('base64url')
}

/** When a session id was made, in ms: when the person let the session be opened. */
export function sidTime(sid: string): number {
  return Buffer.from(sid, 'base64url').readUIntBE(0, 6)
}

/** The tag of bytes that begin with the prefix. */
function tagOf(bytes: Uint8Array, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest().subarray(0, TAG_BYTES)
}

function seal(prefix: string, body: Buffer, key: Uint8Array): string {
  const tag = tagOf(Buffer.concat([Buffer.from(prefix), body]), key)
  return prefix + Buffer.concat([body, tag]).toString('base64url')
}

function unseal(prefix: string, length: number, token: string, key: Uint8Array): Buffer | undefined {
  const text = token.slice(prefix.length)
  if (text.length !== Math.ceil((length * 4) / 3)) return undefined
  const bytes = Buffer.alloc(prefix.length + length)
  bytes.write(prefix, 'latin1')
  // A second spelling of the same bytes is another string with another hash: only the canonical one is ours.
  if (bytes.write(text, prefix.length, 'base64url') !== length) return undefined
  if (bytes.toString('base64url', prefix.length) !== text) return undefined
  const tag = tagOf(bytes.subarray(0, -TAG_BYTES), key)
  return timingSafeEqual(tag, bytes.subarray(-TAG_BYTES))
    ? bytes.subarray(prefix.length, -TAG_BYTES)
    : undefined
}

/**
 * The refresh token of one generation of a session.
 * @param secret 32 bytes: random for the first, derived for the ones after it
 */
export function refreshToken(sid: string, generation: number, secret: Uint8Array, keys: SecretKeys): string {
  const body = Buffer.alloc(SID_BYTES + 4 + SECRET_BYTES)
  body.set(Buffer.from(sid, 'base64url'), 0)
  body.writeUInt32BE(generation, SID_BYTES)
  body.set(secret.subarray(0, SECRET_BYTES), SID_BYTES + 4)
  return seal(REFRESH_PREFIX, body, keys.tag)
}

/**
 * The refresh token that follows `token`. The same token and salt always give the same successor, so a client
 * that lost our answer can be given it again although we never stored it. The salt is forgotten with the grace
 * window: an old token and our keys together do not give away the tokens after it.
 */
export function successorToken(
  token: string,
  parts: { sid: string; generation: number },
  salt: string,
  keys: SecretKeys,
): string {
  const secret = createHmac('sha256', keys.successor).update(salt).update(token).digest()
  return refreshToken(parts.sid, parts.generation + 1, secret, keys)
}

/** The logout ticket of a session; it can do one thing: end that session. */
export function logoutTicket(sid: string, secret: Uint8Array, keys: SecretKeys): string {
  const body = Buffer.concat([Buffer.from(sid, 'base64url'), secret.subarray(0, SECRET_BYTES)])
  return seal(TICKET_PREFIX, body, keys.tag)
}

/** What a browser keeps to be known again; `id` is 16 random bytes. */
export function deviceCookie(id: Uint8Array, keys: SecretKeys): string {
  return seal(DEVICE_PREFIX, Buffer.from(id.subarray(0, SID_BYTES)), keys.tag)
}

/** The id in a device cookie, base64url; `undefined` means that this authority did not make it. */
export function readDeviceCookie(cookie: string, keys: SecretKeys): string | undefined {
  if (!cookie.startsWith(DEVICE_PREFIX)) return undefined
  return unseal(DEVICE_PREFIX, SID_BYTES + TAG_BYTES, cookie, keys.tag)?.toString('base64url')
}

/** By what a device is known again: its cookie, the sign-in of a browser without one, or what its app says. */
export type DeviceSource =
  | ['cookie', id: string]
  | ['browser', uid: string]
  | ['app', clientId: string, id: string]

/**
 * The id of a device as one account sees it. Two accounts that share a browser see two ids, and neither of them can be
 * traced to the cookie.
 */
export function deviceId(sub: string, source: DeviceSource, { device }: SecretKeys): string {
  const tag = createHmac('sha256', device)
    .update(JSON.stringify([sub, ...source]))
    .digest()
  return tag.toString('base64url', 0, SID_BYTES)
}

/** Reads a presented secret. `undefined` means that this authority did not issue it. */
export function readSecret(token: string, keys: SecretKeys): RefreshTokenParts | TicketParts | undefined {
  if (token.startsWith(REFRESH_PREFIX)) {
    const body = unseal(REFRESH_PREFIX, REFRESH_BYTES, token, keys.tag)
    if (!body) return undefined
    const sid = body.toString('base64url', 0, SID_BYTES)
    return { kind: 'refresh_token', sid, generation: body.readUInt32BE(SID_BYTES), hash: hashSecret(token) }
  }
  if (token.startsWith(TICKET_PREFIX)) {
    const body = unseal(TICKET_PREFIX, TICKET_BYTES, token, keys.tag)
    if (!body) return undefined
    return { kind: 'logout_ticket', sid: body.toString('base64url', 0, SID_BYTES), hash: hashSecret(token) }
  }
  return undefined
}
