import {
  type Anchor,
  type AuditEvent,
  type AuditRecord,
  CHAIN_START,
  chainHash,
  type PruningPlace,
} from './audit.ts'

/* Whether an audit chain is what was written. Pure: records in, the first place that does not fit out. */

export type Broken = { brokenAt: number; problem: string }

/** What a check goes by. */
export type ChainFacts = {
  /** What stands before the first record; absent: what the record of a pruning says. */
  start?: Anchor
  /** A place that was noted elsewhere: it has to be in the chain. */
  noted?: Anchor
  /** It is all that a store keeps; `null`: it keeps it from the very first record on. */
  pruned?: PruningPlace | null
}

/** Says, in the record of a pruning, up to where the chain was cut off. */
export function prunedUpTo({ n, hash }: Anchor): string {
  return `up to ${n} ${hash}`
}

function readPruned({ event, at, detail = '' }: AuditEvent): PruningPlace | undefined {
  const [, n, hash = ''] = (event === 'audit.pruned' && /^up to (\d+) ([\w-]{43})$/.exec(detail)) || []
  return n === undefined ? undefined : { n: Number(n), hash, at }
}

const broken = (brokenAt: number, problem: string): Broken => ({ brokenAt, problem })

/**
 * Checks a chain record by record, so that it need not fit into memory. A record of which something is known to be wrong
 * comes with an empty hash.
 * @returns `take` says what is wrong with the next record, `end` with the whole
 */
export function checkChain(facts: ChainFacts) {
  const { noted, pruned } = facts
  const start = pruned === null ? CHAIN_START : (pruned ?? facts.start)
  let previous = start
  let first = 0
  /** The first record, until something says what it follows. */
  let unproven: AuditRecord | undefined
  let newest: PruningPlace | undefined

  function prove(place: Anchor | undefined): Broken | undefined {
    if (!unproven || place?.n !== unproven.n - 1) return undefined
    const { n, hash } = unproven
    if (chainHash(place.hash, n, unproven) !== hash)
      return broken(n, `record ${n} was changed, or what it follows is not what was cut off`)
    unproven = undefined
    return undefined
  }
  function take(record: AuditRecord): Broken | undefined {
    const { n, hash } = record
    const fault = previous ? faultAfter(previous, record) : hash === '' ? changed(n) : undefined
    if (fault) return fault
    if (noted?.n === n && noted.hash !== hash) return broken(n, `record ${n} is not the one that was noted`)
    if (!previous) unproven = record
    first ||= n
    previous = { n, hash }
    newest = readPruned(record) ?? newest
    return prove(n === 1 ? CHAIN_START : undefined) ?? prove(noted) ?? prove(newest)
  }
  function end(): Broken | { first: number; last: Anchor } {
    const last = previous ?? CHAIN_START
    if (unproven) return broken(1, `${missing(1, unproven.n - 1)}, and no pruning says so`)
    const fault = faultOfNoted(noted, first - 1, last, start)
    if (fault) return fault
    if (pruned === undefined || samePlace(pruned, newest)) return { first, last }
    const says = newest ? `the newest record of a pruning says ${newest.n}` : 'no record of a pruning says so'
    const problem = pruned ? `cut off up to ${pruned.n}, but ${says}` : `nothing is cut off, but ${says}`
    return broken(pruned?.n ?? 1, problem)
  }
  return { take, end }
}

function faultAfter(previous: Anchor, { n, hash, ...event }: AuditRecord): Broken | undefined {
  const next = previous.n + 1
  if (n > next) return broken(next, missing(next, n - 1))
  if (n < next) return broken(next, `record ${n} does not belong after record ${previous.n}`)
  if (hash === '') return changed(n)
  if (chainHash(previous.hash, n, event) === hash) return undefined
  return n === 1 ? changed(n) : broken(n, `record ${n} or the one before it was changed`)
}

const changed = (n: number) => broken(n, `record ${n} was changed`)

function missing(first: number, last: number): string {
  return first === last ? `record ${first} is missing` : `records ${first} to ${last} are missing`
}

function faultOfNoted(noted: Anchor | undefined, before: number, last: Anchor, start: Anchor | undefined) {
  if (!noted) return undefined
  if (noted.n > last.n) return broken(last.n + 1, `it ends before record ${noted.n}, which was noted`)
  if (noted.n === start?.n && noted.hash !== start.hash)
    return broken(noted.n, `record ${noted.n} is not the one that was noted`)
  if (noted.n >= before) return undefined
  return broken(
    noted.n,
    `record ${noted.n}, which was noted, is cut off: nothing can be said of it. Note a newer one`,
  )
}

function samePlace(one: PruningPlace | null, other: PruningPlace | undefined): boolean {
  if (!one || !other) return !one && !other
  return one.n === other.n && one.hash === other.hash && one.at === other.at
}
