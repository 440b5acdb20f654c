import type { Violation } from './check.ts'
import type { Final } from './final.ts'
import type { Entry } from './history.ts'
import { attemptsIn, refusedInGrace } from './refreshes.ts'

/** One successor for each refresh token, whoever is asked; a lost answer can be had again; none that was given is unknown. */
export function brokenChains(entries: readonly Entry[], { clocksApart }: Final): Violation[] {
  const found: Violation[] = []
  const refreshes = entries.filter(({ what }) => what === 'refresh')
  const bySession = Map.groupBy(refreshes, ({ sid }) => sid ?? '')
  for (const own of bySession.values()) {
    const attempts = attemptsIn(own)
    for (const some of attempts.values()) {
      const successors = new Set(some.flatMap(({ successor }) => successor ?? []))
      if (successors.size > 1) found.push({ rule: 'a refresh token has two successors', entries: some })
      const refused = some.find(({ code = '' }) => /used before/.test(code))
      if (refused && isNewest(some, own) && refusedInGrace(some, refused, clocksApart))
        found.push({ rule: 'a lost answer was not repeated within its grace', entries: some })
    }
    const unknown = own.find(({ code = '' }) => /not found/.test(code))
    if (unknown) found.push({ rule: 'a refresh token that was given is unknown', entries: own })
  }
  return found
}

/** Whether nobody had used a successor, and no attempt with the one before it may still have been under way. */
function isNewest(attempts: readonly Entry[], own: readonly Entry[]): boolean {
  const first = Math.min(...attempts.map(({ n }) => n))
  const before = own.filter(({ n, token }) => n < first && token !== attempts[0]?.token)
  const last = Math.max(...attempts.map(({ n }) => n))
  const after = own.some(
    ({ n, token, last: atTheEnd }) => n < last && n > first && token !== attempts[0]?.token && !atTheEnd,
  )
  return !after && before.every(({ outcome }) => outcome === 'ok' || outcome === 'refused')
}
