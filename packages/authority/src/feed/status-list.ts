import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { SignJWT } from 'jose'
import type { LoggedRevocation } from '../domain/revocation.ts'
import type { KeyRing } from '../keys/ring.ts'

/*
 * The IETF Token Status List (draft-ietf-oauth-status-list): one bit for each access token, for any API in any
 * language that can fetch a signed list now and then. A token's place in its list is in its claims.
 */

/** How many tokens one list speaks of; a list is 16 KiB before it is compressed. */
export const LIST_SIZE = 131_072

/** How long a list may be used, and after how long it is worth fetching again, in seconds. */
const LIFETIME = 300
const TTL = 10
/** However many ask while sessions end, a list is made at most this often, in ms. */
const COALESCE = 250
/** A bit stays set this long after its token has expired, in seconds: clocks differ. */
const LINGER = 60

const compress = promisify(deflate)

export type StatusLists = {
  /** Sets the bits of the access tokens that a revocation killed. */
  mark(revocation: LoggedRevocation): void
  /** Forgets the bits of tokens that have expired. @param now the time in ms */
  sweep(now: number): void
  /** The signed list at `uri` (§5.1). @param now the time in ms */
  sign(ring: KeyRing, list: number, uri: string, now: number): Promise<{ jwt: string; ttl: number }>
}

/** Lists in which every token is valid. */
export function createStatusLists(): StatusLists {
  const dead = new Map<number, number>()
  const signed = new Map<number, { jwt: string; at: number; version: number }>()
  let version = 0
  return {
    mark({ tokens }) {
      version++
      for (const { idx, exp } of tokens) if (idx >= 0) dead.set(idx, exp)
    },
    sweep(now) {
      for (const [idx, exp] of dead) if ((exp + LINGER) * 1000 < now) dead.delete(idx)
    },
    async sign(ring, list, uri, now) {
      const last = signed.get(list)
      const fresh = last && now - last.at < (last.version === version ? TTL * 1000 : COALESCE)
      if (fresh) return { jwt: last.jwt, ttl: TTL }
      const made = version
      const bits = new Uint8Array(LIST_SIZE / 8)
      for (const idx of dead.keys()) {
        const place = idx - list * LIST_SIZE
        // The least significant bit comes first (§4.1).
        if (place >= 0 && place < LIST_SIZE) bits[place >> 3] = (bits[place >> 3] ?? 0) | (1 << (place & 7))
      }
      const iat = Math.floor(now / 1000)
      const lst = (await compress(bits, { level: 9 })).toString('base64url')
      const claims = { sub: uri, iat, exp: iat + LIFETIME, ttl: TTL, status_list: { bits: 1, lst } }
      const header = { alg: 'EdDSA', typ: 'statuslist+jwt', kid: ring.signing.kid }
      const jwt = await new SignJWT(claims).setProtectedHeader(header).sign(ring.signing.key)
      signed.set(list, { jwt, at: now, version: made })
      return { jwt, ttl: TTL }
    },
  }
}
