import { latestAcceptance } from './check-endings.ts'
import { deathsIn } from './deaths.ts'
import type { Final } from './final.ts'
import { type Entry, lineOf } from './history.ts'
import type { Injected } from './inject.ts'

/** What was done, for people. */
export function report(entries: readonly Entry[], final: Final, { counts, skipped }: Injected): string[] {
  const lines = [`Faults: ${listed(counts)}`]
  if (Object.keys(skipped).length > 0)
    lines.push(`Left out, as no small file system can be mounted here: ${listed(skipped)}`)
  for (const [what, some] of Map.groupBy(entries, (one) => one.what)) {
    lines.push(`${what}: ${listed(tally(some, ({ outcome }) => outcome))}`)
    const codes = tally(
      some.filter(({ code, outcome }) => code && outcome !== 'ok'),
      ({ code = '' }) => code,
    )
    if (Object.keys(codes).length > 0) lines.push(`    ${listed(codes)}`)
  }
  const deaths = deathsIn(entries)
  const { log, sessions, audited, guards } = final
  const ended = sessions.flatMap((one) => one.ended ?? [])
  const slowest = entries.toSorted((a, b) => b.end - b.start - (a.end - a.start))[0]
  lines.push(
    `Sessions: ${sessions.length}, ended ${ended.length} (${listed(tally(ended, ({ reason }) => reason))})`,
    `Log: ${log.length} revocations, ${audited.length} audit records of them`,
    `Said to be dead: ${deaths.sessions.size} sessions, ${deaths.access.size} access tokens alone, ${deaths.refreshing.size} refresh tokens alone`,
    `Asked about after that: ${afterDeath(entries, deaths, 'introspect')} introspections, ${afterDeath(entries, deaths, 'check')} checks at guards`,
    `Ended although each answer was 503: ${endedAs503(entries, final)} sessions`,
    `A guard still took a dead token ${Math.round(latestAcceptance(entries))} ms after the answer, at the latest`,
    `The slowest request: ${slowest ? lineOf(slowest) : 'none'}`,
    `Guards heard ${guards.map(({ heard }) => heard.length).join(' and ')} endings`,
  )
  return lines
}

function afterDeath(
  entries: readonly Entry[],
  { sessions }: ReturnType<typeof deathsIn>,
  what: Entry['what'],
) {
  return entries.filter((one) => {
    const death = sessions.get(one.sid ?? '')
    return one.what === what && death && one.start > death.since
  }).length
}

/** “Unavailable” is to mean that nothing was done. It is counted where it did not, and not a violation: whoever asks again is told. */
function endedAs503(entries: readonly Entry[], { sessions }: Final): number {
  const asked = Map.groupBy(
    entries.filter(({ what }) => what === 'revoke-pair' || what === 'ticket' || what.startsWith('revoke-')),
    ({ sid }) => sid,
  )
  return sessions.filter(({ sid, ended }) => {
    const own = (asked.get(sid) ?? []).filter(({ outcome }) => outcome !== 'refused')
    return (
      ended?.reason === 'user_logout' &&
      own.every(({ outcome, code }) => outcome === 'unknown' && code === '503')
    )
  }).length
}

function tally<T>(all: readonly T[], nameOf: (one: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const one of all) counts[nameOf(one)] = (counts[nameOf(one)] ?? 0) + 1
  return counts
}

function listed(counts: Record<string, number>): string {
  return (
    Object.entries(counts)
      .sort()
      .map(([name, count]) => `${count} ${name}`)
      .join(', ') || 'none'
  )
}
