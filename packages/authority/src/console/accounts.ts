import { compromise, deactivate, reactivate, reviewed } from '../account-endings.ts'
import { reportOn } from '../account-report.ts'
import { listAccounts } from '../admin-lists.ts'
import { findAccount } from '../admin-revocations.ts'
import { RescindError } from '../errors.ts'
import { sendHtml } from '../http/respond.ts'
import { accountPage, findPage } from '../pages/console/accounts.ts'
import { revoke } from '../revoke.ts'
import type { RevokeOutcome } from '../store/store.ts'
import { type Asking, goTo, reasonIn, toldIn, wantedPath } from './asking.ts'

/** `GET /admin`: the way to an account, and those that somebody should look at. */
export async function showStart(asking: Asking): Promise<void> {
  const { authority, res, url } = asking
  const wanted = wantedPath(url)
  if (wanted) return goTo(asking, wanted)
  const { accounts: review } = await listAccounts(authority, { review: true })
  const options = { issuerName: authority.config.name, review, ...toldIn(asking) }
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
    const options = { issuerName: authority.config.name, review: [], told: error.message, who }
    sendHtml(res, 404, await findPage(options))
  }
}

/** `GET /admin/accounts/{sub}` */
export async function showAccount(asking: Asking): Promise<void> {
  const { authority, res, sub } = asking
  const report = await reportOn(authority, await findAccount(authority.store, sub))
  sendHtml(res, 200, await accountPage({ issuerName: authority.config.name, report, ...toldIn(asking) }))
}

/** `POST /admin/accounts/{sub}/end`: the marked sessions, or all of them. */
export async function endSessions(asking: Asking): Promise<void> {
  const { authority, form, actor, address, sub } = asking
  const words = reasonIn(asking)
  const options = { reason: 'admin_forced', words } as const
  if (form.get('what') === 'all') {
    const account = { sub, validAfter: authority.now() }
    const outcome = await revoke(authority, { kind: 'account', sub }, actor, address, { ...options, account })
    return goBack(asking, await toldOf(asking, [outcome]))
  }
  const marked = [...form.keys()].flatMap((name) => /^session-([\w-]{1,64})$/.exec(name)?.[1] ?? [])
  if (marked.length === 0) throw new RescindError('VALIDATION_ERROR', 'Mark at least one session.')
  const outcomes: RevokeOutcome[] = []
  for (const sid of marked)
    outcomes.push(await revoke(authority, { kind: 'session', sid, sub }, actor, address, options))
  goBack(asking, await toldOf(asking, outcomes))
}

/** `POST /admin/accounts/{sub}/compromise|deactivate|reactivate|reviewed` */
export async function changeAccount(asking: Asking, what: string): Promise<void> {
  const { authority, actor, address, sub } = asking
  if (what === 'reviewed') {
    await reviewed(authority, sub, actor)
    return goBack(asking, 'It is off the list of those to look at.')
  }
  const words = reasonIn(asking)
  if (what === 'reactivate') {
    await reactivate(authority, sub, actor, words)
    return goBack(asking, 'They can sign in again.')
  }
  const outcome = await (what === 'deactivate' ? deactivate : compromise)(
    authority,
    sub,
    actor,
    address,
    words,
  )
  goBack(asking, await toldOf(asking, [outcome]))
}

/** What ended, when, and how many services have confirmed it. */
export async function toldOf({ authority }: Asking, outcomes: RevokeOutcome[]): Promise<string> {
  const at = new Date(authority.now()).toISOString().slice(11, 19)
  const revocations = outcomes.flatMap((one) => (one.kind === 'revoked' ? one.revocations : []))
  if (revocations.length === 0) return 'Nothing was signed in any more.'
  const { confirmed, waiting, more } = await authority.feed.confirm(revocations, 2_000)
  const yes = confirmed.length + (more?.confirmed ?? 0)
  const services = yes + waiting.length + (more?.waiting ?? 0)
  const by = services === 0 ? 'no service is connected' : `confirmed by ${yes} of ${services} services`
  return `Ended at ${at} UTC, ${by}.`
}

function goBack(asking: Asking, told: string) {
  goTo(asking, `/admin/accounts/${asking.sub}`, told)
}
