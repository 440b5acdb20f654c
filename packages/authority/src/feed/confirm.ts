import type { LoggedRevocation } from '../domain/revocation.ts'
import { concerns, type Group } from './groups.ts'
import type { ConnectedGuard } from './guard-socket.ts'
import { toRecord } from './record.ts'

export type GuardName = { guard: string; resources: string[] }

/** Which guards have applied a revocation, and which have not (yet); so many more of each where there are many. */
export type Confirmation = {
  confirmed: GuardName[]
  waiting: GuardName[]
  more?: { confirmed: number; waiting: number }
}

/** An answer with a thousand names helps nobody. */
const NAMED = 20

/** Resolves when every connected guard concerned has applied these revocations or is gone, or after `ms`. */
export async function confirm(
  groups: Iterable<Group>,
  revocations: LoggedRevocation[],
  ms: number,
): Promise<Confirmation> {
  const asked: { guard: ConnectedGuard; resources: string[]; seq: number }[] = []
  for (const group of groups) {
    const mine = revocations.filter((one) => concerns(group, one) && toRecord(one))
    const seq = Math.max(0, ...mine.map((one) => one.seq))
    if (seq === 0) continue
    for (const guard of group.guards) asked.push({ guard, resources: group.resources, seq })
  }
  const waiters = asked
    .filter(({ guard, seq }) => guard.acknowledged < seq)
    .map(({ guard, seq }) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const waiter = { seq, done: resolve }
      guard.waiters.add(waiter)
      return { guard, waiter, promise }
    })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([Promise.all(waiters.map(({ promise }) => promise)), late])
  clearTimeout(timer)
  for (const { guard, waiter } of waiters) guard.waiters.delete(waiter)
  const named = (has: boolean): GuardName[] =>
    asked
      .filter(({ guard, seq }) => guard.acknowledged >= seq === has)
      .map(({ guard, resources }) => ({ guard: guard.id, resources }))
  return shortened(named(true), named(false))
}

/** @param unnamed how many more there are of each */
export function shortened(
  confirmed: GuardName[],
  waiting: GuardName[],
  unnamed = { confirmed: 0, waiting: 0 },
): Confirmation {
  const more = {
    confirmed: unnamed.confirmed + Math.max(0, confirmed.length - NAMED),
    waiting: unnamed.waiting + Math.max(0, waiting.length - NAMED),
  }
  const some = { confirmed: confirmed.slice(0, NAMED), waiting: waiting.slice(0, NAMED) }
  return more.confirmed + more.waiting > 0 ? { ...some, more } : some
}
