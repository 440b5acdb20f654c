/** What there is when all is healed and quiet. */
export type Final = {
  /** The revocation log, in the order of `seq`. */
  log: { seq: number; what: string; sid?: string; reason: string }[]
  /** Where the database says that the log ends. */
  head: number
  /** The `seq` of each audit record of a revocation. */
  audited: number[]
  /** What is wrong with the audit chain. */
  chain?: string
  sessions: { sid: string; account: string; ended?: { seq: number; reason: string } }[]
  /** What each guard heard, in its order, and the newest revocation up to which it says it knows everything. */
  guards: { guard: string; heard: number[]; seq: number }[]
  /** When the clocks of two processes differed, on the clock of the history. */
  clocksApart: { from: number; to: number }[]
  /** What did not get ready again. */
  notReady: string[]
}
