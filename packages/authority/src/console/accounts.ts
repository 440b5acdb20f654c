import { compromise, deactivate, reactivate, reviewed } from '../account-endings.ts'
import { reportOn } from '../account-report.ts'
import { listAccounts } from '../admin-lists.ts'
import { findAccount } from '../admin-revocations.ts'
import { RescindError } from '../errors.ts'
import { sendHtml } from '../http/respond.ts'
import { accountPage, findPage } from '../pages/console/accounts.ts'
import type { Told } from '../pages/told.ts'
import { revoke } from '../revoke.ts'
import type { RevokeOutcome } from '../store/store.ts'
import { doneWith } from '../told.ts'
import { type Asking, done, goTo, reasonIn, wantedPath } from './asking.ts'

/** `GET /admin`: the way to an account, and those that somebody should look at. */
export async function showStart(asking: Asking): Promise<void> {
  const { authority, res, url } = asking
  const wanted = wantedPath(url)
  if (wanted) return goTo(asking, wanted.path, wanted.told)
  const { accounts: review } = await listAccounts(authority, { review: true })
  const options = { issuerName: authority.config.name, review, ...done(asking) }
  sendHtml(res, 200, await findPage(options))
}

/** `GET /admin/accounts?who=…` */
export async function findOne(asking: Asking): Promise<void> {
  const { authority, res, url } = asking
  const who = (url.searchParams.get('who') ?? '').trim().slice(0, 254)
  try {
    const { sub } = await findAccount(authority.store, who)
    return goTo(asking, `/admin/accounts/${sub}`)
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    const options = { issuerName: authority.config.name, review: [], error: error.message, who }
    sendHtml(res, 404, await findPage(options))
  }
}

/** `GET /admin/accounts/{sub}` */
export function showAccount(asking: Asking): Promise<void> {
  return sendAccount(asking, 200, done(asking))
}

async function sendAccount(
  { authority, res, sub }: Asking,
  status: number,
  more: { told?: Told; error?: string; reason?: string },
) {
  const report = await reportOn(authority, await findAccount(authority.store, sub))
  sendHtml(res, status, await accountPage({ issuerName: authority.config.name, report, ...more }))
}

/** Serves a form of an account’s page; what was wrong with it is told on that page. */
export async function serveForm(asking: Asking, serve: (asking: Asking) => Promise<void>): Promise<void> {
  try {
    await serve(asking)
  } catch (error) {
    if (!(error instanceof RescindError) || error.code !== 'VALIDATION_ERROR') throw error
    await sendAccount(asking, error.status, { error: error.message, reason: asking.form.get('reason') })
  }
}

/** `POST /admin/accounts/{sub}/end`: the marked sessions, or all of them. */
export async function endSessions(asking: Asking): Promise<void> {
  const { authority, form, actor, address, sub } = asking
  const words = reasonIn(asking)
  const options = { reason: 'admin_forced', words } as const
  if (form.get('what') === 'all') {
    const account = { sub, validAfter: authority.now() }
    const outcome = await revoke(authority, { kind: 'account', sub }, actor, address, { ...options, account })
    return goBack(asking, await doneWith(authority, [outcome]))
  }
  const marked = [...form.keys()].flatMap((name) => /^session-([\w-]{1,64})$/.exec(name)?.[1] ?? [])
  if (marked.length === 0) throw new RescindError('VALIDATION_ERROR', 'Mark at least one session.')
  const outcomes: RevokeOutcome[] = []
  for (const sid of marked)
    outcomes.push(await revoke(authority, { kind: 'session', sid, sub }, actor, address, options))
  goBack(asking, await doneWith(authority, outcomes))
}

/** `POST /admin/accounts/{sub}/compromise|deactivate|reactivate|reviewed` */
export async function changeAccount(asking: Asking, what: string): Promise<void> {
  const { authority, actor, address, sub } = asking
  if (what === 'reviewed') {
    await reviewed(authority, sub, actor)
    return goBack(asking, { words: 'It is off the list of those to look at.' })
  }
  const words = reasonIn(asking)
  if (what === 'reactivate') {
    await reactivate(authority, sub, actor, words)
    return goBack(asking, { words: 'They can sign in again.' })
  }
  const outcome = await (what === 'deactivate' ? deactivate : compromise)(
    authority,
    sub,
    actor,
    address,
    words,
  )
  goBack(asking, await doneWith(authority, [outcome]))
}

function goBack(asking: Asking, told: Told) {
  goTo(asking, `/admin/accounts/${asking.sub}`, told)
}
