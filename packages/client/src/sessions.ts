import { RescindClientError } from './errors.ts'

/** One session of the account, as `GET /v1/sessions` lists it. Times are ISO 8601. */
export type ListedSession = {
  sid: string
  current: boolean
  client: { id: string; name: string }
  device?: { id: string; name: string; kind: string }
  openedAt: string
  lastSeen: string
  address: string
  place: string
  scope: string
  endedAt?: string
  reason?: string
}

export type Receipt = {
  revoked: boolean
  already?: true
  ended?: { what: string; sid?: string; seq: number; at: string; reason: string }[]
  signedOut?: boolean
}

/** The sessions of the account, on all devices. All throw RescindClientError; its `reason` is the authority’s code. */
export type Sessions = {
  list(): Promise<ListedSession[]>
  /** Ends one, in whatever app and on whatever device. For one’s own, call `logout()`. */
  end(sid: string): Promise<Receipt>
  /** Ends all but this one, and signs other browsers out. */
  endOthers(): Promise<Receipt>
  /** Ends all, this one too. Needs a recent sign-in: REFUSED says so, then `signIn({ maxAge: 300 })`. */
  endAll(): Promise<Receipt>
}

type Refusal = { error?: string; code?: string }

export function createSessions(
  authority: string,
  send: (url: string, init?: RequestInit) => Promise<Response>,
): Sessions {
  async function ask<T>(method: string, path: string): Promise<T> {
    const response = await send(`${authority}/v1/sessions${path}`, { method })
    const body = (await response.json().catch(() => undefined)) as Refusal | undefined
    if (response.ok && body) return body as T
    const refused = response.status < 500 && body?.code
    throw new RescindClientError(
      refused ? 'REFUSED' : 'UNAVAILABLE',
      `${body?.error ?? response.status}`,
      body?.code,
    )
  }
  return {
    list: async () => (await ask<{ sessions: ListedSession[] }>('GET', '')).sessions,
    end: (sid) => ask('DELETE', `/${encodeURIComponent(sid)}`),
    endOthers: () => ask('POST', '/revoke-others'),
    endAll: () => ask('POST', '/revoke-all'),
  }
}
