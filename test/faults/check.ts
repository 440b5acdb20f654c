import { deadAccepted, lostEndings } from './check-endings.ts'
import { brokenLog } from './check-log.ts'
import { withoutReason } from './check-reasons.ts'
import { brokenChains } from './check-refreshes.ts'
import type { Final } from './final.ts'
import type { Entry } from './history.ts'

export type Violation = {
  /** What is not as it has to be. */
  rule: string
  /** What shows it. */
  entries: Entry[]
}

/** Everything in which a history, and what is there at its end, is not what was promised. */
export function violations(entries: readonly Entry[], final: Final): Violation[] {
  return [
    ...lostEndings(entries, final),
    ...deadAccepted(entries),
    ...withoutReason(entries, final),
    ...brokenChains(entries, final),
    ...brokenLog(final),
    ...stuck(entries, final),
  ]
}

/** Each request ended, and everything got ready again. */
function stuck(entries: readonly Entry[], { notReady }: Final): Violation[] {
  return [
    ...entries
      .filter(({ outcome }) => outcome === 'hung')
      .map((entry) => ({ rule: 'a request did not end', entries: [entry] })),
    ...notReady.map((what) => ({ rule: `not ready again: ${what}`, entries: [] })),
  ]
}
