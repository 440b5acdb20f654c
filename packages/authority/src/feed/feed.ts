import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RevocationRecord } from '@rescind/guard/view'
import type { Authority } from '../authority.ts'
import { MAX_ACCESS_TOKEN_TTL } from '../domain/policy.ts'
import type { LoggedRevocation } from '../domain/revocation.ts'
import { authenticateClient, OAuthError } from '../oauth/client-auth.ts'

/** A record matters to a guard for this long after the last token has expired, in s: clocks differ. */
const LINGER = 60
const HEARTBEAT = 1_000
/** A guard that lets this many bytes pile up is dropped; it comes back and resumes. */
const MAX_BEHIND = 1024 * 1024
const PAGE = 1_000

/** What a guard has to know of a revocation; nothing, where only refreshing was stopped. */
export function toRecord(revocation: LoggedRevocation): RevocationRecord | undefined {
  if (revocation.what === 'refresh_token') return undefined
  const { seq, at, sid, jti, reason, tokens } = revocation
  const exp = Math.max(Math.ceil(at / 1000), ...tokens.map((token) => token.exp))
  return { seq, at, sid, ...(jti === undefined ? {} : { jti }), exp, reason }
}

/** Reads from the log all that can still matter after `seq`: whatever was recorded while tokens still live. */
export async function stillMatters(authority: Authority, after: number): Promise<LoggedRevocation[]> {
  const { store, now } = authority
  // By the longest life that any configuration allows: tokens outlive the setting that they were made under.
  const since = now() - (MAX_ACCESS_TOKEN_TTL + LINGER) * 1000
  const found: LoggedRevocation[] = []
  for (let seq = after; ; ) {
    const page = await store.read({ kind: 'revocations', after: seq, since, limit: PAGE })
    found.push(...page)
    const last = page.at(-1)
    if (!last || page.length < PAGE) return found
    seq = last.seq
  }
}

export type Feed = {
  endpoint(
    authority: Authority,
    req: IncomingMessage,
    res: ServerResponse,
    query: URLSearchParams,
  ): Promise<void>
  publish(revocation: LoggedRevocation): void
  close(): void
}

/** The live feed: one line of JSON for each revocation, to every guard that is connected. */
export function createFeed(): Feed {
  const guards = new Set<{ res: ServerResponse; backlog?: string[] }>()
  let seq = 0

  function send(guard: { res: ServerResponse }, lines: string) {
    if (guard.res.writableLength > MAX_BEHIND) guard.res.destroy()
    else guard.res.write(lines)
  }
  const beat = setInterval(() => {
    const line = `{"type":"heartbeat","seq":${seq}}\n`
    for (const guard of guards) if (!guard.backlog) send(guard, line)
  }, HEARTBEAT)
  beat.unref()

  return {
    async endpoint(authority, req, res, query) {
      const client = await authenticateClient(authority, req, new Map())
      const known = authority.config.resources.some((one) => one.client_id === client.clientId)
      if (!client.confidential || !known) {
        throw new OAuthError(
          403,
          'access_denied',
          'the feed is for the resource servers of the configuration',
        )
      }
      const since = query.get('since')
      if (since !== null && !/^\d{1,15}$/.test(since)) {
        throw new OAuthError(400, 'invalid_request', '`since` is the last seq that was applied')
      }
      // What is committed while the log is read waits here, and is sent after it.
      const guard: { res: ServerResponse; backlog?: string[] } = { res, backlog: [] }
      guards.add(guard)
      res.on('close', () => guards.delete(guard))
      const past = await stillMatters(authority, Number(since ?? 0))
      const { seq: head } = await authority.store.read({ kind: 'head' })
      seq = Math.max(seq, head)
      res.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
      const lines = past.flatMap((revocation) => line(revocation) ?? [])
      send(guard, [...lines, ...(guard.backlog ?? []), `{"type":"ready","seq":${seq}}\n`].join(''))
      guard.backlog = undefined
    },
    publish(revocation) {
      seq = Math.max(seq, revocation.seq)
      const text = line(revocation)
      if (!text) return
      for (const guard of guards) {
        if (guard.backlog) guard.backlog.push(text)
        else send(guard, text)
      }
    },
    close() {
      clearInterval(beat)
      for (const guard of guards) guard.res.end()
    },
  }
}

function line(revocation: LoggedRevocation): string | undefined {
  const record = toRecord(revocation)
  return record && `${JSON.stringify({ type: 'revocation', ...record })}\n`
}
