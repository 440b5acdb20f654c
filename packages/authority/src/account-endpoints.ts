import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessTokenClaims } from '@rescind/guard/claims'
import { z } from 'zod'
import { changePassword, meanwhile } from './account-endings.ts'
import { checkEmail, checkPassword, MAX_PASSWORD, verifyPassword } from './accounts.ts'
import { namesAdministrator } from './administrators.ts'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority } from './authority.ts'
import { RescindError } from './errors.ts'
import { FORMER_EMAIL, keepFormerEmail } from './former-emails.ts'
import { addressOf } from './http/address.ts'
import { readJson } from './http/body.ts'
import { sendJson } from './http/respond.ts'
import { receiptOf, sendReceipt } from './receipt.ts'
import { requireRecentSignIn } from './step-up.ts'
import type { Account } from './store/store.ts'
import { validate } from './v1.ts'

const password = z.string().min(1).max(MAX_PASSWORD)
const passwordInput = z.strictObject({ currentPassword: password, newPassword: password })
const emailInput = z.strictObject({ email: z.string().min(1).max(254), currentPassword: password })

/**
 * `POST /v1/account/password`: a new password, which ends every other session of the account.
 * @throws RescindError AUTHENTICATION_FAILED, INSUFFICIENT_USER_AUTHENTICATION, ACCESS_DENIED (the current password is
 *   wrong), VALIDATION_ERROR, INVALID_STATE, RATE_LIMITED
 */
export async function passwordEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const claims = await recentSignIn(authority, req)
  const { currentPassword, newPassword } = validate(passwordInput, await readJson(req))
  checkPassword(newPassword)
  const account = await owner(authority, req, claims, currentPassword)
  const session = await authority.store.read({ kind: 'session', sid: claims.sid })
  const asking = { sid: claims.sid, browser: session?.browser }
  const address = addressOf(req, authority.config.trustProxy)
  const outcome = await changePassword(authority, account, newPassword, asking, address)
  await sendReceipt(authority, req, res, outcome, (guards) => ({
    ...{ changed: true, ...receiptOf(outcome) },
    ...(guards ? { guards } : {}),
  }))
}

/**
 * `POST /v1/account/email`: another e-mail to sign in with. It ends nothing; the address before hears of it.
 * @throws RescindError as the password's
 */
export async function emailEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const { store, limits, now, config } = authority
  const claims = await recentSignIn(authority, req)
  const { email, currentPassword } = validate(emailInput, await readJson(req))
  checkEmail(email)
  const account = await owner(authority, req, claims, currentPassword)
  const { sub, sid } = claims
  // The answer can't hide that an e-mail is taken; but only so many can be asked for.
  limits.emailChange.spend(sub)
  if (email === account.email) return sendJson(res, 200, { changed: false, email })
  // Whoever has an administrator's e-mail is one.
  if (namesAdministrator(config, email)) throw taken()
  const at = now()
  const address = addressOf(req, config.trustProxy)
  const who = { at, actor: `account:${sub}`, sub, sid, address }
  const outcome = await store.transact({
    kind: 'change-account',
    account: { sub, email, expect: { email: account.email, password: account.password }, expectSession: sid },
    records: keepFormerEmail(account, email, at),
    audit: [{ ...who, event: 'account.email_changed', detail: `from ${account.email}` }],
    at,
  })
  if (outcome.kind === 'conflict' && ['Email', FORMER_EMAIL].includes(outcome.model)) throw taken()
  if (outcome.kind === 'conflict') throw meanwhile()
  sendJson(res, 200, { changed: true, email })
}

function taken(): RescindError {
  return new RescindError('VALIDATION_ERROR', 'That e-mail can’t be used for this account.')
}

/** The claims of a live token of somebody who signed in a short while ago. */
async function recentSignIn(authority: Authority, req: IncomingMessage) {
  const claims = await authenticate(authority, req)
  if (!claims) throw authenticationFailed()
  requireRecentSignIn(claims, authority.now())
  return claims
}

/** The account of a token, if whoever holds it knows its password too. */
async function owner(
  { store, limits, now, config }: Authority,
  req: IncomingMessage,
  { sub, sid, clientId }: AccessTokenClaims,
  currentPassword: string,
): Promise<Account> {
  // By session, not by account: whoever guesses with a stolen token must not keep the owner from changing it.
  limits.currentPassword.spend(sid)
  const account = await store.read({ kind: 'account-by-sub', sub })
  if (!account) throw authenticationFailed()
  if (!(await verifyPassword(currentPassword, account.password))) {
    // Whoever guesses with a stolen token is to be seen, like one who guesses on the sign-in page.
    const who = { actor: `account:${sub}`, sub, sid, clientId, address: addressOf(req, config.trustProxy) }
    const audit = [{ event: 'signin.failed' as const, at: now(), ...who, detail: 'the current password' }]
    await store.transact({ kind: 'write', records: [], audit, at: now() })
    throw new RescindError('ACCESS_DENIED', 'The current password is not right.')
  }
  limits.currentPassword.refund(sid)
  return account
}
