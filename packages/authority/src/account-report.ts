import { type AdminAccount, type AdminSession, toAdminAccount, toAdminSession } from './admin-lists.ts'
import { newestRecords, type ShownRecord, shown } from './audit-reading.ts'
import type { Authority } from './authority.ts'
import type { Device } from './domain/device.ts'
import { iso } from './own-sessions.ts'
import { plain } from './plain.ts'
import type { Account } from './store/store.ts'

/* All that is known of what happened to one account, for whoever has to find out. */

/** How far back it goes, in ms, and how many records at most. */
const BACK = 30 * 24 * 60 * 60_000
const RECORDS = 10_000
const SESSIONS = 1_000
/** What people wrote themselves is shown up to so many characters, and cannot steer the terminal. */
const MOST_IN_WORDS = 1_000

/** Times are ISO 8601. */
export type AccountReport = {
  account: AdminAccount
  devices: (Pick<Device, 'id' | 'name' | 'address' | 'place'> & { firstSeen: string; lastSeen: string })[]
  /** Live ones, and those that ended in the last 30 days. */
  sessions: AdminSession[]
  /** From where somebody signed in, or tried to, in the last 30 days. */
  signIns: { address: string; succeeded: number; failed: number; first: string; last: string }[]
  /** What happened in the last 30 days, the oldest first; `more` when it is not all. */
  records: ShownRecord[]
  more: boolean
}

/** @throws StoreUnavailable */
export async function reportOn(
  { store, now }: Pick<Authority, 'store' | 'now'>,
  account: Account,
): Promise<AccountReport> {
  const { sub } = account
  const since = now() - BACK
  const [devices, sessions, { records, next }] = await Promise.all([
    store.read({ kind: 'devices', sub }),
    store.read({ kind: 'account-sessions', sub, endedSince: since, limit: SESSIONS }),
    newestRecords(store, { sub, since }, { limit: RECORDS }),
  ])
  const inOrder = records.reverse().map(shown)
  return {
    account: toAdminAccount(account),
    devices: devices.map(({ id, name, address, place, firstSeen, lastSeen }) => {
      return { id, name, address, place, firstSeen: iso(firstSeen), lastSeen: iso(lastSeen) }
    }),
    sessions: sessions.map((session) => toAdminSession(session, account.email)),
    signIns: signInsIn(inOrder),
    records: inOrder,
    more: next !== undefined,
  }
}

function signInsIn(records: ShownRecord[]): AccountReport['signIns'] {
  const byAddress = new Map<string, AccountReport['signIns'][number]>()
  for (const { event, address = 'unknown', at } of records) {
    if (event !== 'signin.succeeded' && event !== 'signin.failed') continue
    const known = byAddress.get(address) ?? { address, succeeded: 0, failed: 0, first: at, last: at }
    known.last = at
    if (event === 'signin.failed') known.failed++
    else known.succeeded++
    byAddress.set(address, known)
  }
  return [...byAddress.values()].sort((a, b) => (a.last < b.last ? 1 : -1))
}

/** The report in words, for a terminal. */
export function reportInWords({ account, devices, sessions, signIns, records, more }: AccountReport): string {
  const { email, sub, name, createdAt, reviewSince, resetRequired, deactivatedAt } = account
  const state = [
    reviewSince && `marked for review since ${reviewSince}`,
    resetRequired && 'its password opens nothing until a new one is set',
    deactivatedAt && `deactivated since ${deactivatedAt}`,
  ].filter(Boolean)
  const row = (...words: string[]) =>
    words
      .map((word) => plain(word, MOST_IN_WORDS))
      .join('\t')
      .trimEnd()
  const section = (title: string, lines: string[]) => ['', title, ...(lines.length > 0 ? lines : ['none'])]
  return [
    row(email, sub, name, `added ${createdAt}`),
    ...state.map((words) => `${words}`),
    ...section(
      'Devices',
      devices.map((one) => row(one.name, one.address, one.place, `${one.firstSeen} to ${one.lastSeen}`)),
    ),
    ...section(
      'Sessions: live, and those that ended in the last 30 days',
      sessions.map(({ sid, clientId, openedAt, lastSeen, endedAt, reason }) => {
        const end = endedAt === undefined ? `live, seen ${lastSeen}` : `ended ${endedAt} ${reason}`
        return row(sid, clientId, `opened ${openedAt}`, end)
      }),
    ),
    ...section(
      'Sign-ins of the last 30 days, by address',
      signIns.map((one) => {
        const { address, succeeded, failed, first, last } = one
        return row(address, `${succeeded} succeeded`, `${failed} failed`, `${first} to ${last}`)
      }),
    ),
    ...section(
      more ? `The newest ${records.length} records of the last 30 days` : 'What happened in the last 30 days',
      records.map(({ at, event, actor, address = '', reason = '', clientId = '', detail = '' }) =>
        row(at, event, actor, address, clientId, reason, detail),
      ),
    ),
  ].join('\n')
}
