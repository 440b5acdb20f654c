import {
  createPrivateKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  webcrypto,
} from 'node:crypto'
import type { SecretKeys } from '../domain/secret.ts'
import { RescindError } from '../errors.ts'
import type { Store, StoredKey } from '../store/store.ts'
import type { Seal } from './seal.ts'

export type PrivateJwk = {
  kty: 'OKP'
  crv: 'Ed25519'
  x: string
  d: string
  kid: string
  alg: 'EdDSA'
  use: 'sig'
}

/** All keys of the authority, opened. */
export type KeyRing = {
  /** The key that signs now. */
  signing: { kid: string; key: KeyObject }
  /** The published signing keys, the current one first, then those whose tokens may still be about. */
  jwks: PrivateJwk[]
  /** The public side of the published ones: what a live token may be signed with. */
  verification: Map<string, CryptoKey>
  /** Every key that ever signed: a logout may come months late, with a token that is long expired. */
  everSigned: Map<string, CryptoKey>
  secrets: SecretKeys
  /** Signs the cookies. */
  cookies: string[]
}

/** A key that signs no more is still published this long, in ms: longer than any token that it signed lives. */
const RETIRED_FOR = 24 * 60 * 60 * 1000

function newSigningKey(seal: Seal, now: number): StoredKey {
  const kid = randomBytes(12).toString('base64url')
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return { kid, use: 'signing', sealed: seal.close(JSON.stringify(jwk), `key:${kid}`), createdAt: now }
}

/** Opens the ring; on the first start it is made. `now` in ms. */
export async function openKeyRing(store: Store, seal: Seal, now: number): Promise<KeyRing> {
  let stored = await store.read({ kind: 'keys' })
  if (stored.length === 0) {
    const root = randomBytes(32).toString('base64url')
    const keys: StoredKey[] = [
      { kid: 'root', use: 'secret', sealed: seal.close(root, 'key:root'), createdAt: now },
      newSigningKey(seal, now),
    ]
    await store.transact({ kind: 'put-keys', keys, retire: [] })
    stored = await store.read({ kind: 'keys' })
  }
  const root = stored.find((key) => key.use === 'secret')
  if (!root) throw new Error('the store has no root secret; restore it from your backup')
  const rootSecret = openSealed(seal, root)
  const derive = (purpose: string) =>
    new Uint8Array(hkdfSync('sha256', Buffer.from(rootSecret, 'base64url'), '', `rescind ${purpose}`, 32))

  const signing = stored
    .filter((key) => key.use === 'signing')
    .sort(
      (a, b) =>
        Number(a.retiredAt ?? Infinity) - Number(b.retiredAt ?? Infinity) || a.createdAt - b.createdAt,
    )
    .reverse()
  const open = (key: StoredKey): PrivateJwk => {
    const jwk = JSON.parse(openSealed(seal, key)) as PrivateJwk
    return { ...jwk, kid: key.kid, alg: 'EdDSA', use: 'sig' }
  }
  const all = signing.map(open)
  const jwks = all.filter((_, index) => now < (signing[index]?.retiredAt ?? Infinity) + RETIRED_FOR)
  const [current] = jwks
  if (!current) throw new Error('the store has no signing key; make one with: rescind keys rotate')
  return {
    signing: { kid: current.kid, key: createPrivateKey({ key: current, format: 'jwk' }) },
    jwks,
    verification: await publicKeys(jwks),
    everSigned: await publicKeys(all),
    secrets: {
      tag: derive('secret tags'),
      successor: derive('successor tokens'),
      device: derive('device names'),
    },
    cookies: [Buffer.from(derive('cookie signatures')).toString('base64url')],
  }
}

/** Whether a key was sealed under this master key. */
export function opensUnder(seal: Seal, { kid, sealed }: Pick<StoredKey, 'kid' | 'sealed'>): boolean {
  try {
    seal.open(sealed, `key:${kid}`)
    return true
  } catch {
    return false
  }
}

function openSealed(seal: Seal, key: StoredKey): string {
  try {
    return seal.open(key.sealed, `key:${key.kid}`)
  } catch {
    throw new Error(
      'the keys in the store do not open with this master key; set the one that the data was made with',
    )
  }
}

async function publicKeys(jwks: PrivateJwk[]): Promise<Map<string, CryptoKey>> {
  return new Map(await Promise.all(jwks.map(async (jwk) => [jwk.kid, await publicKey(jwk)] as const)))
}

function publicKey({ kty, crv, x }: PrivateJwk): Promise<CryptoKey> {
  return webcrypto.subtle.importKey('jwk', { kty, crv, x }, 'Ed25519', true, ['verify'])
}

/**
 * Adds a signing key that signs from now on; the ones before it are published for another day.
 * @param now the time in ms
 * @returns the new key's `kid`
 */
export async function rotateSigningKey(
  store: Store,
  seal: Seal,
  actor: string,
  now: number,
): Promise<string> {
  await openKeyRing(store, seal, now)
  const keys = await store.read({ kind: 'keys' })
  const fresh = newSigningKey(seal, now)
  const retire = keys
    .filter((key) => key.use === 'signing' && key.retiredAt === undefined)
    .map(({ kid }) => ({ kid, at: now }))
  await store.transact({
    kind: 'put-keys',
    keys: [fresh],
    retire,
    audit: { event: 'keys.rotated', at: now, actor, detail: `signing key ${fresh.kid}` },
  })
  return fresh.kid
}

/**
 * Forgets a signing key that somebody else may have: what it signed is worth nothing from now on, at every guard that
 * hears us. Where it is the one that signs, a new one takes its place.
 * @param now the time in ms
 * @returns the `kid` that signs now
 * @throws RescindError NOT_FOUND
 */
export async function dropSigningKey(
  store: Store,
  seal: Seal,
  kid: string,
  actor: string,
  now: number,
): Promise<string> {
  const { signing } = await openKeyRing(store, seal, now)
  const keys = await store.read({ kind: 'keys' })
  if (!keys.some((key) => key.use === 'signing' && key.kid === kid))
    throw new RescindError('NOT_FOUND', 'There is no such signing key; see: rescind keys list')
  const fresh = kid === signing.kid ? [newSigningKey(seal, now)] : []
  await store.transact({
    kind: 'put-keys',
    keys: fresh,
    retire: [],
    drop: [kid],
    audit: { event: 'keys.dropped', at: now, actor, detail: `signing key ${kid}` },
  })
  return fresh[0]?.kid ?? signing.kid
}
