import type { Authority } from './authority.ts'
import type { Reason } from './domain/reason.ts'
import type { Session } from './domain/session.ts'
import { iso, lastSeenOf } from './own-sessions.ts'
import type { Account, Store } from './store/store.ts'

/* What administrators see of sessions and accounts. Times are ISO 8601. */

/** The most that one page has. */
export const PAGE = 100

export type AdminSession = {
  sid: string
  sub: string
  /** Absent where the account is not there. */
  email?: string
  clientId: string
  device?: string
  openedAt: string
  lastSeen: string
  scope: string
  endedAt?: string
  reason?: Reason
}

/** Sessions of everybody, the newest first; `next` is where the next page begins, if there may be one. */
export async function listSessions(
  { store }: Pick<Authority, 'store'>,
  filter: { sub?: string; clientId?: string; before?: number },
): Promise<{ sessions: AdminSession[]; next?: string }> {
  const { sessions, next } = await store.read({ kind: 'list-sessions', ...filter, limit: PAGE })
  const emails = await emailsOf(store, new Set(sessions.map(({ sub }) => sub)))
  const listed = sessions.map((session) => toAdminSession(session, emails.get(session.sub)))
  return { sessions: listed, ...(next === undefined ? {} : { next: `${next}` }) }
}

export function toAdminSession(session: Session, email: string | undefined): AdminSession {
  const { sid, sub, clientId, device, openedAt, scope, ended } = session
  return {
    ...{ sid, sub, ...(email === undefined ? {} : { email }), clientId },
    ...(device === undefined ? {} : { device }),
    ...{ openedAt: iso(openedAt), lastSeen: iso(lastSeenOf(session)), scope },
    ...(ended ? { endedAt: iso(ended.at), reason: ended.reason } : {}),
  }
}

async function emailsOf(store: Store, subs: Set<string>): Promise<Map<string, string | undefined>> {
  const found = [...subs].map(
    async (sub) => [sub, (await store.read({ kind: 'account-by-sub', sub }))?.email] as const,
  )
  return new Map(await Promise.all(found))
}

export type AdminAccount = {
  sub: string
  email: string
  name: string
  createdAt: string
  /** Since when somebody should have a look at it. */
  reviewSince?: string
  /** Since when nobody may sign in. */
  deactivatedAt?: string
  resetRequired?: true
}

/** The accounts in the order in which they were added, those for review alone if that is asked. */
export async function listAccounts(
  { store }: Pick<Authority, 'store'>,
  filter: { review: boolean; after?: string },
): Promise<{ accounts: AdminAccount[]; next?: string }> {
  const review = filter.review ? { review: true as const } : {}
  const after = Number(filter.after ?? 0)
  const { accounts, next } = await store.read({ kind: 'accounts', ...review, after, limit: PAGE })
  return { accounts: accounts.map(toAdminAccount), ...(next === undefined ? {} : { next: `${next}` }) }
}

/** What administrators see of an account: never its password. */
export function toAdminAccount(account: Account): AdminAccount {
  const { sub, email, name, createdAt, reviewSince, deactivatedAt, resetRequired } = account
  return {
    ...{ sub, email, name, createdAt: iso(createdAt) },
    ...(reviewSince === undefined ? {} : { reviewSince: iso(reviewSince) }),
    ...(deactivatedAt === undefined ? {} : { deactivatedAt: iso(deactivatedAt) }),
    ...(resetRequired ? { resetRequired } : {}),
  }
}
