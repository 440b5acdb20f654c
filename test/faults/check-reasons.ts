import type { Violation } from './check.ts'
import type { Final } from './final.ts'
import type { Entry } from './history.ts'
import { type Apart, mayBeReuse } from './refreshes.ts'

const BY_HAND = new Set(['revoke-pair', 'revoke-access', 'revoke-refresh', 'ticket'])

/** All that could end each session, in the words of the log. */
export function causes(
  entries: readonly Entry[],
  apart: Apart,
): (sid: string, account: string) => Set<string> {
  const bySession = Map.groupBy(entries, ({ sid }) => sid ?? '')
  const others = Map.groupBy(
    entries.filter(({ what, outcome }) => what === 'others' && outcome !== 'refused'),
    ({ account }) => account,
  )
  return (sid, account) => {
    const own = bySession.get(sid) ?? []
    const found = new Set<string>()
    if (own.some(({ what, outcome }) => BY_HAND.has(what) && outcome !== 'refused')) found.add('user_logout')
    const opened = own.find(({ what }) => what === 'sign-in')?.start ?? 0
    // One that was not answered may still be carried out later.
    const meant = (one: Entry) => one.sid !== sid && (one.outcome === 'ok' ? one.end : Infinity) > opened
    if ((others.get(account) ?? []).some(meant)) found.add('device_removed')
    if (mayBeReuse(own, apart)) found.add('token_reuse')
    return found
  }
}

/** Whatever ended was ended by somebody, and what nobody ended lives: it still refreshes at the end. */
export function withoutReason(entries: readonly Entry[], { sessions, clocksApart }: Final): Violation[] {
  const found: Violation[] = []
  const causesOf = causes(entries, clocksApart)
  const lastRefresh = new Map(
    entries.filter(({ what, last }) => what === 'refresh' && last).map((one) => [one.sid, one]),
  )
  const bySession = Map.groupBy(entries, ({ sid }) => sid ?? '')
  for (const refused of livingRefused(entries)) found.push(refused)
  for (const { sid, account, ended } of sessions) {
    const could = causesOf(sid, account)
    const own = bySession.get(sid) ?? []
    if (ended && !could.has(ended.reason))
      found.push({ rule: `session ${sid} ended as ${ended.reason}, which nobody caused`, entries: own })
    const last = lastRefresh.get(sid)
    if (!ended && could.size === 0 && last && last.outcome !== 'ok' && !/too many/i.test(last.code ?? ''))
      found.push({ rule: `session ${sid} was never ended and does not refresh`, entries: own })
  }
  return found
}

/** An access token that was got at the end is good everywhere. */
function livingRefused(entries: readonly Entry[]): Violation[] {
  const got = new Map(
    entries
      .filter(({ what, last, outcome }) => what === 'refresh' && last && outcome === 'ok')
      .map((one) => [one.sid, one]),
  )
  return entries.flatMap((entry) => {
    const { what, last, outcome, where } = entry
    const refresh = got.get(entry.sid)
    if (!last || what === 'refresh' || outcome === 'ok' || !refresh || refresh.n > entry.n) return []
    return [{ rule: `${where} does not take what lives`, entries: [refresh, entry] }]
  })
}
