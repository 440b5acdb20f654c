import type { Entry } from './history.ts'

/** When the clocks of two processes differed. */
export type Apart = readonly { from: number; to: number }[]

/** For how long an answer that was lost can be had again, by one clock, in ms. */
export const GRACE = 10_000

const wereApart = (apart: Apart, from: number, to: number) =>
  apart.some((one) => one.from < to && from < one.to)

/** Whether a session’s refreshes may have looked like a token that came twice: its end as `token_reuse` is then no wonder. */
export function mayBeReuse(own: readonly Entry[], apart: Apart): boolean {
  const refreshes = own.filter(({ what }) => what === 'refresh')
  // What was not answered may be carried out long after, when its token has been used up by the retry.
  if (refreshes.some(({ outcome }) => outcome === 'unknown' || outcome === 'hung')) return true
  return [...attemptsIn(refreshes).values()].some((attempts) => {
    const { start, end } = spanOf(attempts)
    return attempts.length > 1 && (end - start > GRACE || wereApart(apart, start, end))
  })
}

/** The attempts with each refresh token. */
export function attemptsIn(refreshes: readonly Entry[]): Map<string, Entry[]> {
  return Map.groupBy(refreshes, ({ token }) => token ?? '')
}

function spanOf(attempts: readonly Entry[]) {
  return {
    start: Math.min(...attempts.map(({ start }) => start)),
    end: Math.max(...attempts.map(({ end }) => end)),
  }
}

/** Whether an attempt that was refused as reuse had to be given the same answer again. */
export function refusedInGrace(attempts: readonly Entry[], refused: Entry, apart: Apart): boolean {
  const start = Math.min(...attempts.map((one) => one.start))
  return refused.end - start < GRACE && !wereApart(apart, start, refused.end)
}
