import { randomBytes } from 'node:crypto'
import { hashSecret } from '../domain/secret.ts'
import type { Seal } from '../keys/seal.ts'
import type { NewRecord } from '../store/deliveries.ts'
import type { Account, Store } from '../store/store.ts'

/** The records that the codes in mailed links are kept in. */
export const MAIL_CODE = 'MailCode'

/** What the holder of a mailed link may do: say "this wasn't me", or set a new password. */
export type MailCode =
  /** `to`: the address that it was mailed to, which whoever uses it reads. */
  | { purpose: 'not-me'; sub: string; to: string; sid?: string; expiresAt: number }
  /** `of`: what the account was when it was made; it sets no password of another. */
  | { purpose: 'reset'; sub: string; of: string; expiresAt: number }
type WithoutTime<T> = T extends unknown ? Omit<T, 'expiresAt'> : never

/** A digest of what makes a link to set a password void when it changes: the address it went to, and the password. */
export function resetStateOf({ email, password }: Pick<Account, 'email' | 'password'>): string {
  return hashSecret(JSON.stringify([email, password]))
}

const HOUR = 60 * 60 * 1000
const LIFE = { 'not-me': 7 * 24 * HOUR, reset: HOUR }

/** A code for a link that is mailed: 256 random bits in base64url. Only its hash is stored. */
export function createMailCode(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * The record that makes `code` good for one use, 7 days long, or an hour for a reset. Whoever takes the code consumes the
 * record in the transaction that does what it is for.
 * @param now the time in ms
 */
export function mailCodeRecord(
  seal: Seal,
  code: string,
  what: WithoutTime<MailCode>,
  now: number,
): NewRecord {
  const id = hashSecret(code)
  const expiresAt = now + LIFE[what.purpose]
  const payload = seal.close(JSON.stringify({ ...what, expiresAt }), `${MAIL_CODE}:${id}`)
  return { model: MAIL_CODE, id, payload, expiresAt: Math.ceil(expiresAt / 1000) }
}

/**
 * What a presented code is good for; nothing for one that is unknown, used or expired.
 * @param now the time in ms
 * @returns also the record's id, for consuming it: `{ op: 'consume', model: MAIL_CODE, id, at }`, and when it was made
 */
export async function readMailCode(
  store: Store,
  seal: Seal,
  code: string,
  now: number,
): Promise<(MailCode & { id: string; issuedAt: number }) | undefined> {
  const id = hashSecret(code)
  const stored = await store.read({ kind: 'record', model: MAIL_CODE, id })
  if (!stored || stored.consumed !== undefined) return undefined
  const known = JSON.parse(seal.open(stored.payload, `${MAIL_CODE}:${id}`)) as MailCode
  if (known.expiresAt <= now) return undefined
  return { ...known, id, issuedAt: known.expiresAt - LIFE[known.purpose] }
}
