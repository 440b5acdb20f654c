/*
 * What the authority and a guard say to each other over the feed (docs/feed.md): text frames, each with one or more
 * lines of JSON. Read strictly: what is of another shape ends the connection and changes nothing.
 */

/** One revocation, as a guard has to know it. */
export type RevocationRecord = SessionEnding | CutOff

/** All tokens that were issued before a time are dead: everybody's, or those of one client. */
export type CutOff = {
  seq: number
  /** When it was ordered, in ms. */
  at: number
  reason: string
  /** Tokens whose `iat` is before this one, in s, are dead. */
  before: number
  clientId?: string
}

export type SessionEnding = {
  seq: number
  /** When, in ms. */
  at: number
  sid: string
  /** Present: only this access token died. Absent: the session ended. */
  jti?: string
  reason: string
  /** The access tokens that died, by their index among all that were ever issued. */
  tokens: number[]
}

/**
 * A place in the log: a revocation's number, and a digest of it, since a log that was restored from a backup goes on
 * with the same numbers. Before the first one: 0 and ''.
 */
export type Position = { seq: number; tag: string }

/** Where the log is. */
export type Progress = Position & {
  /** The newest one, before this message, that was for this guard: who doesn't have it has missed something. */
  prev: number
}

export type Heartbeat = Progress & {
  /** The authority's time, in ms. */
  at: number
  /** Tokens of status lists below this one have all expired. */
  firstList: number
}

export type FeedMessage =
  | ({ type: 'revocation' } & Progress & SessionEnding)
  | ({ type: 'cut-off' } & Progress & CutOff)
  /** All that was revoked after `since`, for the APIs `resources`, has been sent. */
  | ({ type: 'ready'; guard: string; resources: string[]; kids: string[] } & Heartbeat)
  | ({ type: 'heartbeat' } & Heartbeat)
  /** These are the authority's signing keys now. */
  | { type: 'keys'; kids: string[] }
  /** The log does not reach back to `since`, or is another one: read the status lists again. */
  | { type: 'reload' }

/** The longest text frame that either side sends, in characters. */
export const MAX_FRAME = 1024 * 1024
const MAX_TOKENS = 10_000
const MAX_NAMES = 1_000
const MAX_INDEX = 2 ** 40

const whole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const text = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= 256
const indexes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_TOKENS && value.every((one) => whole(one) && one < MAX_INDEX)
const isTag = (value: unknown): value is string => typeof value === 'string' && /^[\w-]{0,32}$/.test(value)
const names = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length <= MAX_NAMES && value.every(text)

/** Reads one line of the authority's. @throws Error when it is not of the protocol */
export function readMessage(line: string): FeedMessage {
  const message = JSON.parse(line) as Record<string, unknown> | null
  const { type, seq, prev, at, sid, jti, reason, tokens, kids, guard, resources, firstList } = message ?? {}
  const { before, clientId, tag } = message ?? {}
  if (type === 'reload') return { type }
  if (type === 'keys' && names(kids)) return { type, kids }
  if (whole(seq) && isTag(tag) && whole(prev) && prev <= seq && whole(at)) {
    const place = { seq, tag, prev, at }
    if (type === 'heartbeat' && whole(firstList)) return { type, ...place, firstList }
    if (type === 'ready' && whole(firstList) && text(guard) && names(resources) && names(kids))
      return { type, ...place, firstList, guard, resources, kids }
    if (type === 'cut-off' && text(reason) && whole(before)) {
      if (clientId === undefined) return { type, ...place, reason, before }
      if (text(clientId)) return { type, ...place, reason, before, clientId }
    }
    if (type === 'revocation' && text(sid) && text(reason) && indexes(tokens)) {
      if (jti === undefined) return { type, ...place, sid, reason, tokens }
      if (text(jti)) return { type, ...place, sid, jti, reason, tokens }
    }
  }
  throw new Error('a message of the feed has another shape')
}

/** What a guard has applied, whole: every revocation for it up to `seq`. */
export function writeAck(seq: number): string {
  return `{"ack":${seq}}`
}

/** So many sessions go into one report. */
const MAX_SEEN = 500
/** The longest frame that a guard sends, in characters. */
export const MAX_REPORT = 16 * 1024
const SID = /^[\w-]{22}$/
const REPORT = /^\{"seen":(\["[\w-]{22}"(?:,"[\w-]{22}")*\])\}$/

/** Which sessions a guard has checked since it last said so, in as many frames as it takes. */
export function writeReports(sids: Iterable<string>): string[] {
  const own = [...sids].filter((sid) => SID.test(sid))
  const frames: string[] = []
  for (let i = 0; i < own.length; i += MAX_SEEN)
    frames.push(JSON.stringify({ seen: own.slice(i, i + MAX_SEEN) }))
  return frames
}

/** Reads a guard's report; nothing, when it is not one. */
export function readReport(frame: string): string[] | undefined {
  const [, list] = (frame.length <= MAX_REPORT && REPORT.exec(frame)) || []
  const sids = list === undefined ? undefined : (JSON.parse(list) as string[])
  return sids && sids.length <= MAX_SEEN ? sids : undefined
}

/** Reads a guard's acknowledgement; nothing, when it is not one. */
export function readAck(frame: string): number | undefined {
  const [, seq] = /^\{"ack":(\d{1,15})\}$/.exec(frame) ?? []
  return seq === undefined ? undefined : Number(seq)
}
