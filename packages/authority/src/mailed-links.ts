import type { IncomingMessage, ServerResponse } from 'node:http'
import { compromise, expiredLink, resetPassword } from './account-endings.ts'
import { checkPassword } from './accounts.ts'
import type { Authority } from './authority.ts'
import { RescindError } from './errors.ts'
import { outranked, ownerSpoke } from './former-emails.ts'
import { addressOf } from './http/address.ts'
import { readForm } from './http/body.ts'
import { refuseForeignForm } from './http/own-form.ts'
import { sendHtml } from './http/respond.ts'
import type { Seal } from './keys/seal.ts'
import { MAIL_CODE, type MailCode, readMailCode, resetStateOf } from './notify/mail-code.ts'
import { forgotPage, linkSentPage, noMailPage } from './pages/forgot.ts'
import { notMeDonePage, notMePage } from './pages/not-me.ts'
import { resetDonePage, resetPage } from './pages/reset.ts'
import type { Account, Store } from './store/store.ts'
import { doneWith } from './told.ts'

/*
 * Where the links in mails lead. Mail scanners follow links, so showing a page does nothing: what a link is for is done,
 * and the link used up, when the form on its page is sent.
 */

type Handler = (authority: Authority, req: IncomingMessage, res: ServerResponse, url: URL) => Promise<void>

/** `/reset`: sets a new password. */
export const resetEndpoint: Handler = async (authority, req, res, url) => {
  const { name: issuerName } = authority.config
  if (req.method !== 'POST') {
    const code = codeIn(url)
    await linkFor(authority, req, code, 'reset')
    return sendHtml(res, 200, await resetPage({ issuerName, code }))
  }
  const form = await ownForm(authority, req)
  const code = form.get('code') ?? ''
  const { account, consume } = await linkFor(authority, req, code, 'reset')
  const password = form.get('newPassword') ?? ''
  try {
    checkPassword(password)
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    return sendHtml(res, 400, await resetPage({ issuerName, code, error: error.message }))
  }
  const address = addressOf(req, authority.config.trustProxy)
  const outcome = await resetPassword(authority, account, password, consume, address)
  sendHtml(res, 200, await resetDonePage({ issuerName, done: await doneWith(authority, [outcome]) }))
}

/** `/not-me`: says that somebody else did what a mail told of. */
export const notMeEndpoint: Handler = async (authority, req, res, url) => {
  const { name: issuerName } = authority.config
  if (req.method !== 'POST') {
    const code = codeIn(url)
    await linkFor(authority, req, code, 'not-me')
    return sendHtml(res, 200, await notMePage({ issuerName, code }))
  }
  const form = await ownForm(authority, req)
  const { account, known, consume } = await linkFor(authority, req, form.get('code') ?? '', 'not-me')
  const { sub, email } = account
  const { store, seal, now, config } = authority
  const address = addressOf(req, config.trustProxy)
  const given = {
    records: [consume, await ownerSpoke(store, seal, sub, known.issuedAt, now())],
    restore: { from: email, to: known.to },
  }
  const outcome = await compromise(
    authority,
    sub,
    `account:${sub}`,
    address,
    'its owner says so, through a mailed link',
    given,
  )
  sendHtml(res, 200, await notMeDonePage({ issuerName, done: await doneWith(authority, [outcome]) }))
}

/** `/forgot`: asks for a link to set a new password. The answer says nothing about whether there is such an account. */
export const forgotEndpoint: Handler = async (authority, req, res) => {
  const { name: issuerName, mail } = authority.config
  if (!mail) return sendHtml(res, 200, await noMailPage({ issuerName }))
  if (req.method !== 'POST') return sendHtml(res, 200, await forgotPage({ issuerName }))
  const form = await ownForm(authority, req)
  authority.limits.forgotAddress.spend(addressOf(req, authority.config.trustProxy))
  const email = (form.get('email') ?? '').trim().slice(0, 254)
  const account = await authority.store.read({ kind: 'account', email })
  const mailed = account?.deactivatedAt === undefined ? account?.sub : undefined
  await requestReset(authority, mailed, req)
  sendHtml(res, 200, await linkSentPage({ issuerName, email }))
}

/**
 * Has a link mailed, as far as the account's budget goes. For nobody it does the same work: a record that names no
 * account, on which no mail follows.
 */
export async function requestReset(authority: Authority, sub: string | undefined, req: IncomingMessage) {
  const { store, limits, now, config } = authority
  let to = sub
  try {
    if (sub !== undefined) limits.resetMails.spend(sub)
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    to = undefined
  }
  const at = now()
  const address = addressOf(req, config.trustProxy)
  const event = 'account.reset_requested' as const
  const whose = to === undefined ? {} : { sub: to }
  const audit = [{ event, at, actor: 'anonymous', ...whose, address }]
  await store.transact({ kind: 'write', records: [], audit, at })
}

function codeIn(url: URL): string {
  return (url.searchParams.get('code') ?? '').slice(0, 200)
}

/** Whose link it is, and how it is used up. */
async function linkFor<P extends MailCode['purpose']>(
  { store, seal, now, limits, config }: Authority,
  req: IncomingMessage,
  code: string,
  purpose: P,
) {
  const address = addressOf(req, config.trustProxy)
  limits.badLink.check(address)
  const known = /^[\w-]{43}$/.test(code) ? await readMailCode(store, seal, code, now()) : undefined
  const account = known && (await store.read({ kind: 'account-by-sub', sub: known.sub }))
  const fits = known?.purpose === purpose && account && account.deactivatedAt === undefined
  if (!fits || (await isVoid(store, seal, known, account))) {
    limits.badLink.spend(address)
    throw expiredLink()
  }
  const consume = { op: 'consume', model: MAIL_CODE, id: known.id, at: now() } as const
  return { account, known: known as Known & { purpose: P }, consume }
}

type Known = NonNullable<Awaited<ReturnType<typeof readMailCode>>>

/** Whether what happened since a link was made has taken its power. */
async function isVoid(store: Store, seal: Seal, known: Known, account: Account): Promise<boolean> {
  if (known.purpose === 'not-me') return outranked(store, seal, known.sub, known.issuedAt)
  // What was asked for before the account was secured may have gone to whoever had taken it over.
  const before = account.resetRequired === true && known.issuedAt < (account.validAfter ?? 0)
  return before || known.of !== resetStateOf(account)
}

async function ownForm({ config }: Authority, req: IncomingMessage): Promise<Map<string, string>> {
  refuseForeignForm(config.issuer, req)
  return readForm(req)
}
