import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { listUri, type StatusBits } from '@rescind/guard/status'
import { SignJWT } from 'jose'
import type { LogPosition } from '../domain/revocation.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { Indexes } from './indexes.ts'

/*
 * The IETF Token Status List (draft-ietf-oauth-status-list-21): one bit for each access token, for any API in any
 * language that can fetch a signed list now and then. A token's place in its list is in its claims.
 */

/** How long a list may be used, and after how long it is worth fetching again, in seconds. */
const LIFETIME = 300
export const LIST_TTL = 10
/** However many ask while sessions end, a list is made at most this often, in ms. */
const COALESCE = 250

const compress = promisify(deflate)

/** The bytes of a list as it travels (draft §4.1): zlib, then base64url. */
export async function encodeList(bytes: Uint8Array): Promise<string> {
  return (await compress(bytes, { level: 9 })).toString('base64url')
}

export type StatusLists = {
  /** Where all live lists are (§9.3), and the newest revocation that they know of. */
  aggregation(): { status_lists: string[]; rescind_seq: number; rescind_tag: string }
  /** The signed list (§5.1); nothing when there is none of this number, or all its tokens have expired. */
  sign(list: number): Promise<string | undefined>
}

/**
 * The lists as they are published.
 * @param options.head the newest revocation that `bits` knows
 * @param options.now the time in ms
 */
export function createStatusLists(options: {
  issuer: string
  bits: StatusBits
  indexes: Indexes
  ring: () => KeyRing
  head: () => LogPosition
  now: () => number
}): StatusLists {
  const { issuer, bits, indexes, ring, head, now } = options
  const signed = new Map<number, { jwt: Promise<string>; at: number; seq: number; kid: string }>()

  async function make(list: number, { seq, tag }: LogPosition): Promise<string> {
    const { kid, key } = ring().signing
    const iat = Math.floor(now() / 1000)
    // A copy: what is revoked while it is compressed is not in `seq`.
    const lst = await encodeList(bits.list(list).slice())
    const status_list = { bits: 1, lst, aggregation_uri: `${issuer}/status-lists` }
    const claims = { sub: listUri(issuer, list), iat, exp: iat + LIFETIME, ttl: LIST_TTL, status_list }
    return new SignJWT({ iss: issuer, ...claims, rescind_seq: seq, rescind_tag: tag })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'statuslist+jwt', kid })
      .sign(key)
  }
  let askedAt = -Infinity
  /** Whether another process has begun it meanwhile. */
  async function isNew(list: number): Promise<boolean> {
    if (Math.abs(now() - askedAt) < COALESCE) return false
    askedAt = now()
    await indexes.refresh()
    return indexes.lists().includes(list)
  }
  return {
    aggregation() {
      const { seq, tag } = head()
      const status_lists = indexes.lists().map((list) => listUri(issuer, list))
      return { status_lists, rescind_seq: seq, rescind_tag: tag }
    },
    async sign(list) {
      const live = indexes.lists()
      for (const old of signed.keys()) if (!live.includes(old)) signed.delete(old)
      if (!live.includes(list) && !(await isNew(list))) return undefined
      const last = signed.get(list)
      const [at, place, { kid }] = [now(), head(), ring().signing]
      const { seq } = place
      const fresh = last && at - last.at < (last.seq === seq ? LIST_TTL * 1000 : COALESCE)
      if (fresh && last.kid === kid) return last.jwt
      const jwt = make(list, place)
      signed.set(list, { jwt, at, seq, kid })
      // A failure is not remembered.
      jwt.catch(() => signed.delete(list))
      return jwt
    },
  }
}
