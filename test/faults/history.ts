/** What was asked of an authority or a guard, and what came of it. */
export type Operation =
  | 'sign-in'
  | 'refresh'
  /** `POST /v1/revoke` with both tokens. */
  | 'revoke-pair'
  /** `POST /v1/revoke` with the access token alone. */
  | 'revoke-access'
  /** `POST /oauth/revoke` with the refresh token alone. */
  | 'revoke-refresh'
  /** `POST /oauth/revoke` with the logout ticket. */
  | 'ticket'
  /** `POST /v1/sessions/revoke-others`. */
  | 'others'
  | 'introspect'
  /** At a guard. */
  | 'check'

/** What a receipt says ended. */
export type Ended = { what: string; sid: string; seq: number; reason: string }

export type Entry = {
  n: number
  /** On one clock that is never set, in ms. */
  start: number
  end: number
  /** `front`, `process 0`, `guard 1`. */
  where: string
  what: Operation
  account: string
  sid?: string
  jti?: string
  /** A short name of the refresh token that was presented. */
  token?: string
  /**
   * `ok`: it was answered, and for a check: it lives. `refused`: the answer was no. `unknown`: no answer came, or 503.
   * `hung`: no answer came within the bound of any request.
   */
  outcome: 'ok' | 'refused' | 'unknown' | 'hung'
  code?: string
  ended?: Ended[]
  /** A short name of the refresh token that came. */
  successor?: string
  /** Asked after all was healed. */
  last?: true
}

/** The clock of all histories. */
export const now = (): number => performance.now()

export type History = {
  entries: Entry[]
  add(entry: Omit<Entry, 'n' | 'end'>): Entry
}

export function createHistory(): History {
  const entries: Entry[] = []
  return {
    entries,
    add(entry) {
      const whole = { n: entries.length + 1, end: now(), ...entry }
      entries.push(whole)
      return whole
    },
  }
}

/** One line for people. */
export function lineOf({ n, start, end, where, what, outcome, ...rest }: Entry): string {
  const facts = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  return `#${n} ${Math.round(start)}–${Math.round(end)} ms ${where} ${what} → ${outcome} ${facts.join(' ')}`
}
