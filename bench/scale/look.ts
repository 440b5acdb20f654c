import type { LoggedRevocation } from '../../packages/authority/src/domain/revocation.ts'
import { readMessage } from '../../packages/guard/src/protocol.ts'
import { LIST_SIZE } from '../../packages/guard/src/status.ts'
import { createRevocationView } from '../../packages/guard/src/view.ts'
import { apiOf } from './log.ts'
import { type FarGuard, textStart } from './wire.ts'

/** What was found in the guards that were looked at. */
export type Looked = {
  views: number
  /** Those that have every revocation of their API, each applied once, and nothing else. */
  whole: number
  due: number
  applied: number
  /** Revocations that came a second time. */
  again: number
  /** CPU of a guard for each revocation, in ns, of each guard. */
  took: number[]
  /** From when a revocation was to be published until it was written to a guard, in ms. */
  delays: number[]
  missing: string[]
  /** How many guards are connected in the end. */
  guards: number
}

/** Does what a guard does with the frames that it took: a real view applies them, in order. */
export function lookAt(
  guard: FarGuard,
  log: LoggedRevocation[],
  dueAt: (seq: number) => number,
): {
  due: number
  applied: number
  again: number
  whole: boolean
  took: number
  delays: number[]
  missing?: string
} {
  const view = createRevocationView('https://login.example')
  const delays: number[] = []
  let [applied, again, has] = [0, 0, 0]
  let missing: string | undefined
  const begun = performance.now()
  for (const { frame, at } of guard.kept ?? []) {
    for (const line of frame.toString('utf8', textStart(frame)).split('\n')) {
      const message = readMessage(line)
      if (!('seq' in message)) continue
      if (message.prev > has) missing ??= `prev ${message.prev} came after ${has}`
      has = Math.max(has, message.seq)
      if (message.type !== 'revocation') continue
      if (view.apply(message)) applied++
      else again++
      delays.push(at - dueAt(message.seq))
    }
  }
  const took = ((performance.now() - begun) * 1e6) / delays.length
  const own = log.filter((one) => isFor(one, guard.api))
  const dead = own.filter(
    (one) => one.what !== 'cut_off' && one.tokens.every(({ idx }) => isMarked(view, idx)),
  )
  return {
    ...{ due: own.length, applied, again, took, delays, ...(missing === undefined ? {} : { missing }) },
    whole: missing === undefined && applied === own.length && dead.length === own.length,
  }
}

/** Whether the guards of an API have to hear of it. */
export function isFor(one: LoggedRevocation, api: number): boolean {
  return one.what !== 'cut_off' && (one.audiences?.includes(apiOf(api)) ?? true)
}

function isMarked({ bits }: ReturnType<typeof createRevocationView>, index: number): boolean {
  const bit = index % LIST_SIZE
  return (((bits.list(Math.floor(index / LIST_SIZE))[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1
}
