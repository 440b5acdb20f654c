import { hashSecret } from './domain/secret.ts'
import type { Seal } from './keys/seal.ts'
import type { RecordWrite, Store } from './store/store.ts'

/*
 * What is remembered of e-mails that accounts had. Whoever takes an account over changes its e-mail first; its owner,
 * who still reads the address before, takes that back by a link.
 */

export const FORMER_EMAIL = 'FormerEmail'
const OWNER_SPOKE = 'OwnerSpoke'
/** As long as the link of "this wasn't me" is good, in ms. */
const REGRET = 7 * 24 * 60 * 60 * 1000

/**
 * What a change of an e-mail commits with: the one before is kept for the account for 7 days, and the new one must not be
 * kept for another. Otherwise a second account could sit on an address until its owner can't have it back.
 * @param now the time in ms
 */
export function keepFormerEmail(
  { sub, email }: { sub: string; email: string },
  next: string,
  now: number,
): RecordWrite[] {
  const model = FORMER_EMAIL
  const expiresAt = Math.ceil((now + REGRET) / 1000)
  return [
    { op: 'free', model, ...keysOf(sub, next) },
    { op: 'put', model, ...keysOf(sub, email), payload: new Uint8Array(), expiresAt },
  ]
}

function keysOf(sub: string, email: string) {
  const uid = hashSecret(email.toLowerCase())
  return { id: hashSecret(`${uid} ${sub}`), uid }
}

/** The links that an owner's link has made void: those mailed after it and before it was used, in ms. */
type Spoken = { after: number; until: number }

/**
 * Whether a link of "this wasn't me" is void because an older one was used meanwhile. Of two people who both say that they
 * are the owner the one who had the account first is believed.
 * @param issuedAt when the link was made, in ms
 */
export async function outranked(store: Store, seal: Seal, sub: string, issuedAt: number): Promise<boolean> {
  const spoken = await readSpoken(store, seal, sub)
  return spoken !== undefined && spoken.after < issuedAt && issuedAt <= spoken.until
}

/**
 * What the use of such a link commits with.
 * @param now the time in ms
 */
export async function ownerSpoke(
  store: Store,
  seal: Seal,
  sub: string,
  issuedAt: number,
  now: number,
): Promise<RecordWrite> {
  const before = await readSpoken(store, seal, sub)
  const spoken: Spoken = { after: Math.min(before?.after ?? issuedAt, issuedAt), until: now }
  const id = hashSecret(sub)
  const payload = seal.close(JSON.stringify(spoken), `${OWNER_SPOKE}:${id}`)
  return { op: 'put', model: OWNER_SPOKE, id, payload, expiresAt: Math.ceil((now + REGRET) / 1000) }
}

async function readSpoken(store: Store, seal: Seal, sub: string): Promise<Spoken | undefined> {
  const id = hashSecret(sub)
  const stored = await store.read({ kind: 'record', model: OWNER_SPOKE, id })
  return stored && (JSON.parse(seal.open(stored.payload, `${OWNER_SPOKE}:${id}`)) as Spoken)
}
