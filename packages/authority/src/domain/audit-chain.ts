import { type Anchor, type AuditEvent, type AuditRecord, CHAIN_START, chainHash, readEvent } from './audit.ts'

/* Whether an audit chain is what was written. Pure: records in, the first place that does not fit out. */

export type Broken = { brokenAt: number; problem: string }

/** What a check goes by. */
export type ChainFacts = {
  /** What stands before the first record; absent: the first record is taken on trust. */
  start?: Anchor
  /** A place that was noted elsewhere: it has to be in the chain. */
  noted?: Anchor
  /** It is all that a store keeps: what is missing before it has to be what the last pruning says that it cut off. */
  stored?: true
}

/** Says, in the record of a pruning, up to where the chain was cut off. */
export function prunedUpTo({ n, hash }: Anchor): string {
  return `up to ${n} ${hash}`
}

function readPruned({ event, detail = '' }: AuditEvent): number | undefined {
  const [, n] = (event === 'audit.pruned' && /^up to (\d+) [\w-]{43}$/.exec(detail)) || []
  return n === undefined ? undefined : Number(n)
}

/**
 * Checks a chain record by record, so that it need not fit into memory.
 * @returns `take` says what is wrong with the next record, `end` with the whole
 */
export function checkChain({ start, noted, stored }: ChainFacts) {
  let previous = start
  let first = 0
  let pruned = 0

  function take(record: AuditRecord): Broken | undefined {
    const { n, hash, ...event } = record
    if (previous && n !== previous.n + 1)
      return { brokenAt: previous.n + 1, problem: `record ${previous.n + 1} is missing` }
    const whole = readEvent(event) && (!previous || chainHash(previous.hash, n, event) === hash)
    if (!whole) return { brokenAt: n, problem: `record ${n} or the one before it was changed` }
    if (noted?.n === n && noted.hash !== hash)
      return { brokenAt: n, problem: `record ${n} is not the one that was noted` }
    first ||= n
    previous = { n, hash }
    pruned = readPruned(event) ?? pruned
    return undefined
  }
  function end(): Broken | { first: number; last: Anchor } {
    const last = previous ?? CHAIN_START
    if (noted && noted.n > last.n)
      return { brokenAt: last.n + 1, problem: `it ends before record ${noted.n}, which was noted` }
    if (noted && noted.n === start?.n && noted.hash !== start.hash)
      return { brokenAt: noted.n, problem: `record ${noted.n} is not the one that was noted` }
    if (stored && start && start.n !== pruned)
      return { brokenAt: start.n, problem: `the records up to ${start.n} are gone, and no pruning says so` }
    return { first, last }
  }
  return { take, end }
}
