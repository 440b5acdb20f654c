import type { Violation } from './check.ts'
import { deathOf, deathsIn } from './deaths.ts'
import type { Final } from './final.ts'
import type { Entry } from './history.ts'

/** How long a guard trusts its memory, and how long it asks, in ms. */
export const GUARD_BOUND = 5_000 + 2_000

/** What was answered is there: each revocation in the log, each session that was opened, each that was ended. */
export function lostEndings(entries: readonly Entry[], { log, sessions }: Final): Violation[] {
  const found: Violation[] = []
  const logged = new Map(log.map((one) => [one.seq, one]))
  const rows = new Map(sessions.map((one) => [one.sid, one]))
  for (const entry of entries) {
    if (entry.what === 'sign-in' && entry.outcome === 'ok' && !rows.has(entry.sid ?? ''))
      found.push({ rule: 'a session that was opened is lost', entries: [entry] })
    for (const { seq, sid, what, reason } of entry.ended ?? []) {
      const there = logged.get(seq)
      if (there?.sid !== sid || there.what !== what || there.reason !== reason)
        found.push({ rule: `a revocation that was answered is not in the log as ${seq}`, entries: [entry] })
    }
  }
  for (const [sid, { by }] of deathsIn(entries).sessions)
    if (!rows.get(sid)?.ended)
      found.push({ rule: `session ${sid} was said to be ended and is not`, entries: [by] })
  return found
}

/** Nothing dead was accepted: by an authority at no time, by a guard no later than its bound. */
export function deadAccepted(entries: readonly Entry[]): Violation[] {
  const deaths = deathsIn(entries)
  const found: Violation[] = []
  for (const entry of entries) {
    if (entry.outcome !== 'ok') continue
    const { what, start, where, sid = '' } = entry
    const reading = what === 'introspect' || what === 'check'
    const death = reading ? deathOf(deaths, entry) : deaths.sessions.get(sid)
    const patience = what === 'check' ? GUARD_BOUND : 0
    if ((reading || what === 'refresh') && death && start > death.since + patience)
      found.push({ rule: `${where} took what was dead`, entries: [death.by, entry] })
    const stopped = what === 'refresh' ? deaths.refreshing.get(sid) : undefined
    if (stopped && start > stopped.since)
      found.push({ rule: `${where} refreshed what was stopped`, entries: [stopped.by, entry] })
  }
  return found
}

/** How late a guard still accepted what was dead, at most, in ms after the answer. */
export function latestAcceptance(entries: readonly Entry[]): number {
  const deaths = deathsIn(entries)
  let latest = 0
  for (const entry of entries) {
    const death = entry.what === 'check' && entry.outcome === 'ok' ? deathOf(deaths, entry) : undefined
    if (death) latest = Math.max(latest, entry.start - death.since)
  }
  return latest
}
