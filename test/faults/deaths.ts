import type { Entry } from './history.ts'

/** Since when, on the clock of the history, something has to be dead, and which answer says so. */
export type Death = { since: number; by: Entry }
export type Deaths = {
  sessions: Map<string, Death>
  /** Access tokens that died alone. */
  access: Map<string, Death>
  /** Sessions whose refresh token died alone. */
  refreshing: Map<string, Death>
}

const CONFIRM = new Set(['revoke-pair', 'revoke-access', 'revoke-refresh', 'ticket', 'others'])

/** Everything of which somebody was told that it is dead. */
export function deathsIn(entries: readonly Entry[]): Deaths {
  const deaths: Deaths = { sessions: new Map(), access: new Map(), refreshing: new Map() }
  const note = (of: Map<string, Death>, key: string | undefined, by: Entry) => {
    const known = key === undefined ? undefined : of.get(key)
    if (key !== undefined && (known === undefined || by.end < known.since)) of.set(key, { since: by.end, by })
  }
  const signIns = entries.filter(({ what, outcome }) => what === 'sign-in' && outcome === 'ok')
  for (const entry of entries) {
    if (!CONFIRM.has(entry.what)) continue
    const { what, outcome, code, sid, jti } = entry
    // “It was revoked before” says as much of the access token that was presented.
    if (code?.startsWith('TOKEN_REVOKED')) note(deaths.access, jti, entry)
    if (outcome !== 'ok') continue
    for (const one of entry.ended ?? []) if (one.what === 'session') note(deaths.sessions, one.sid, entry)
    if (what === 'revoke-pair' || what === 'ticket') note(deaths.sessions, sid, entry)
    if (what === 'revoke-access') note(deaths.access, jti, entry)
    if (what === 'revoke-refresh') note(deaths.refreshing, sid, entry)
    if (what !== 'others') continue
    for (const other of signIns)
      if (other.account === entry.account && other.sid !== sid && other.end < entry.start)
        note(deaths.sessions, other.sid, entry)
  }
  return deaths
}

/** Since when a session or this token of it has to be refused. */
export function deathOf({ sessions, access }: Deaths, { sid = '', jti = '' }: Entry): Death | undefined {
  const [one, other] = [sessions.get(sid), access.get(jti)]
  return one && other ? (one.since < other.since ? one : other) : (one ?? other)
}
