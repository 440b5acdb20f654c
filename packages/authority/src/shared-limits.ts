import { z } from 'zod'
import type { Failures } from './failures.ts'
import type { Spending } from './limits.ts'
import type { Processes } from './processes.ts'

/** What was spent within this time is told together, in ms. */
const TOGETHER = 2
const AT_ONCE = 150
const MOST = 3_000

const spent = z.array(z.tuple([z.string(), z.string(), z.number()])).max(AT_ONCE)
const failed = z.object({ sub: z.string(), network: z.string(), at: z.number() })

/**
 * Tells the other processes what was spent here, and takes in what was spent there: whoever goes from one to the next has the
 * same budget at all of them, but for the moment that it takes.
 */
export function shareLimits(spending: Spending, processes: Processes): void {
  let pending = new Map<string, number>()
  function flush() {
    const all = [...pending].map(([key, count]) => [...key.split('\n'), count])
    pending = new Map()
    for (let i = 0; i < all.length; i += AT_ONCE) processes.tell('spent', all.slice(i, i + AT_ONCE))
  }
  spending.onSpent((budget, key, count) => {
    const place = `${budget}\n${key}`
    if (pending.size === 0) setTimeout(flush, TOGETHER).unref()
    if (pending.size < MOST) pending.set(place, (pending.get(place) ?? 0) + count)
  })
  processes.hear('spent', (body) => {
    for (const [budget, key, count] of spent.catch([]).parse(body)) spending.heard(budget, key, count)
  })
}

/** The same for failed sign-ins. */
export function shareFailures(failures: Failures, processes: Processes): void {
  failures.onFailure((sub, failure) => processes.tell('failed', { sub, ...failure }))
  processes.hear('failed', (body) => {
    const read = failed.safeParse(body)
    if (read.success) failures.heard(read.data.sub, { at: read.data.at, network: read.data.network })
  })
}
