import { hashPassword } from './accounts.ts'
import type { Authority } from './authority.ts'
import type { AuditEvent } from './domain/audit.ts'
import { RescindError } from './errors.ts'
import type { Revoked } from './revoke.ts'
import type { Account, AccountChange, RecordWrite, RevokeOutcome } from './store/store.ts'

/*
 * What happens to an account and ends its sessions. Each is one transaction: what ends, what changes of the account, the
 * link that is used up and the audit records commit together or not at all.
 */

/** What the command line has too. */
export type Place = Pick<Authority, 'store' | 'now'>

/**
 * Somebody else may have an account: all its sessions end, its password opens nothing until a new one is set through a
 * link that is mailed, and it is marked for review.
 * @param words why, in the words of whoever says so
 * @param given.records what is used up with it, such as the code of a link
 * @param given.restore the e-mail that it has, and the one that its owner says it should have: the link to set a password
 *   must not go to the address of whoever took the account over
 * @throws RescindError NOT_FOUND, EXPIRED_CODE
 */
export async function compromise(
  { store, now }: Place,
  sub: string,
  actor: string,
  address: string | undefined,
  words: string,
  given: { records?: RecordWrite[]; restore?: { from: string; to: string } } = {},
): Promise<Revoked> {
  const at = now()
  const { from, to } = given.restore ?? {}
  const expect = from === undefined ? {} : { expect: { email: from } }
  const who = { at, actor, sub, address }
  const order = (email: string | undefined) =>
    store.transact({
      kind: 'revoke',
      request: { by: { kind: 'account', sub }, reason: 'account_compromise', actor, words },
      account: {
        sub,
        validAfter: at,
        resetRequired: true,
        reviewSince: at,
        ...expect,
        ...(email ? { email } : {}),
      },
      records: given.records,
      audit: [
        ...(email ? [{ ...who, event: 'account.email_restored' as const }] : []),
        { ...who, event: 'account.compromised', detail: words },
      ],
      address,
      at,
    })
  let outcome = await order(to?.toLowerCase() === from?.toLowerCase() ? undefined : to)
  // The address that it had is somebody else's now: the rest is done all the same.
  if (outcome.kind === 'conflict' && outcome.model === 'Email') outcome = await order(undefined)
  return done(outcome)
}

/**
 * Ends all sessions of an account, and lets nobody sign in to it from now on.
 * @param words why
 * @throws RescindError NOT_FOUND
 */
export async function deactivate(
  { store, now }: Place,
  sub: string,
  actor: string,
  address: string | undefined,
  words: string,
): Promise<Revoked> {
  const at = now()
  const outcome = await store.transact({
    kind: 'revoke',
    request: { by: { kind: 'account', sub }, reason: 'admin_forced', actor, words },
    account: { sub, validAfter: at, deactivatedAt: at },
    audit: [{ event: 'account.deactivated', at, actor, sub, address, detail: words }],
    address,
    at,
  })
  return done(outcome)
}

/**
 * Ends all sessions of an account because who vouches for the person says so; they may sign in again at once.
 * @throws RescindError NOT_FOUND
 */
export async function logOutEverywhere(
  { store, now }: Place,
  sub: string,
  actor: string,
  address: string | undefined,
): Promise<Revoked> {
  const at = now()
  const outcome = await store.transact({
    kind: 'revoke',
    request: { by: { kind: 'account', sub }, reason: 'upstream_logout', actor },
    account: { sub, validAfter: at },
    audit: [{ event: 'account.logged_out', at, actor, sub, address }],
    address,
    at,
  })
  return done(outcome)
}

/**
 * Lets people sign in again to an account that was deactivated. What was ended stays ended.
 * @throws RescindError NOT_FOUND
 */
export function reactivate(place: Place, sub: string, actor: string, words: string): Promise<void> {
  return mark(place, { sub, deactivatedAt: null }, { event: 'account.reactivated', actor, detail: words })
}

/**
 * Takes an account off the list of those that somebody should have a look at.
 * @throws RescindError NOT_FOUND
 */
export function reviewed(place: Place, sub: string, actor: string): Promise<void> {
  return mark(place, { sub, reviewSince: null }, { event: 'account.reviewed', actor })
}

async function mark(
  { store, now }: Place,
  account: AccountChange,
  what: Pick<AuditEvent, 'event' | 'actor' | 'detail'>,
) {
  const at = now()
  const audit = [{ ...what, at, sub: account.sub }]
  const outcome = await store.transact({ kind: 'change-account', account, audit, at })
  if (outcome.kind !== 'written') throw new RescindError('NOT_FOUND', 'There is no such account.')
}

/**
 * Sets the password that somebody proved to know, and ends every other session of the account; the one that asks stays,
 * and so does the sign-in of the browser that it came from.
 * @param asking the session that asks
 * @throws RescindError VALIDATION_ERROR, INVALID_STATE (the password or the session changed meanwhile)
 */
export async function changePassword(
  { store, now }: Place,
  account: Account,
  password: string,
  asking: { sid: string; browser?: string },
  address: string,
): Promise<Revoked> {
  const { sub } = account
  const actor = `account:${sub}`
  const hashed = await hashPassword(password)
  const at = now()
  const { sid, browser } = asking
  const outcome = await store.transact({
    kind: 'revoke',
    request: { by: { kind: 'account', sub, except: sid }, reason: 'password_change', actor },
    account: {
      ...{ sub, password: hashed, expectSession: sid, validAfter: at },
      expect: { password: account.password },
      ...(browser === undefined ? {} : { validBrowser: browser }),
    },
    audit: [{ event: 'account.password_set', at, actor, sub, sid, address }],
    address,
    at,
  })
  if (outcome.kind !== 'revoked') throw meanwhile()
  return outcome
}

/** The refusal of a change that rests on what is no longer so. */
export function meanwhile(): RescindError {
  return new RescindError(
    'INVALID_STATE',
    'The account has changed meanwhile, so nothing was done. Try again.',
  )
}

/**
 * Sets a password through a link that was mailed: the link is used up, and all sessions end.
 * @param code the record of the link, and when it was made in ms
 * @throws RescindError EXPIRED_CODE when the link was used, or the account changed otherwise meanwhile
 */
export async function resetPassword(
  { store, now }: Place,
  account: Account,
  password: string,
  code: RecordWrite,
  address: string,
): Promise<Revoked> {
  const { sub, email, password: former, resetRequired, deactivatedAt, validAfter } = account
  const actor = `account:${sub}`
  const hashed = await hashPassword(password)
  const at = now()
  const outcome = await store.transact({
    kind: 'revoke',
    request: { by: { kind: 'account', sub }, reason: 'password_change', actor },
    account: {
      ...{ sub, password: hashed, resetRequired: false, validAfter: at },
      // All that makes such a link void. When others were signed out is no part of it: whoever holds a stolen token could
      // do that again and again, and the owner would never get to set a password.
      expect: {
        ...{ email, password: former, resetRequired, deactivatedAt },
        ...(resetRequired ? { validAfter } : {}),
      },
    },
    records: [code],
    audit: [{ event: 'account.password_set', at, actor, sub, address, detail: 'through a mailed link' }],
    address,
    at,
  })
  return done(outcome)
}

function done(outcome: RevokeOutcome): Revoked {
  if (outcome.kind === 'revoked') return outcome
  if (outcome.kind === 'conflict' && outcome.model !== 'Account') throw expiredLink()
  if (outcome.kind === 'conflict') throw new RescindError('NOT_FOUND', 'There is no such account.')
  throw expiredLink()
}

/** What is said of a link that does nothing (any more). */
export function expiredLink(): RescindError {
  return new RescindError('EXPIRED_CODE', 'This link was used before, is too old, or is not one of ours.')
}
