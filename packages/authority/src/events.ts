import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessTokenClaims } from '@rescind/guard/claims'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority } from './authority.ts'
import type { Ended, LoggedRevocation } from './domain/ending.ts'
import { holdsAnything, type Session } from './domain/session.ts'
import { RescindError } from './errors.ts'

/*
 * `GET /v1/events`: what happens to the sessions of an account, told to those that are still signed in. It is a notice:
 * nothing waits for it.
 */

const BEAT = 15_000
/** How long a stream may outlive its token before the session is looked at, in ms, and how often after that. */
const GRACE = 60_000
const MAX_STREAMS = 10_000
const MAX_OF_ACCOUNT = 50
/** How far a reader may be behind, in bytes. */
const MOST_BEHIND = 64 * 1024
/** What a reader may take to read the last event, in ms. */
const FAREWELL = 1_000
/** What a stream that comes back may have missed, in ms. */
const REPLAY = 60 * 60_000

type Stream = { claims: AccessTokenClaims; lookAt: number; res: ServerResponse }

export type Events = {
  /** @throws RescindError AUTHENTICATION_FAILED, RATE_LIMITED, UNAVAILABLE */
  endpoint(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Takes a revocation that was committed. */
  hear(revocation: LoggedRevocation): void
  close(): void
}

export function createEvents(authority: Authority): Events {
  const { store, view, now, config, log } = authority
  const streams = new Map<string, Set<Stream>>()
  const all = () => [...streams.values()].flatMap((some) => [...some])

  function end(stream: Stream, event: string, data: Record<string, unknown>, id?: number) {
    remove(stream)
    send(stream, event, data, id)
    stream.res.end()
    setTimeout(() => stream.res.destroy(), FAREWELL).unref()
  }
  function remove(stream: Stream) {
    const { sub } = stream.claims
    const mine = streams.get(sub)
    mine?.delete(stream)
    if (mine?.size === 0) streams.delete(sub)
  }
  async function tellOthers(ended: Ended & { seq: number }) {
    if (!streams.has(ended.sub)) return
    const [session, devices] = await Promise.all([
      store.read({ kind: 'session', sid: ended.sid }),
      store.read({ kind: 'devices', sub: ended.sub }),
    ])
    const device = devices.find(({ id }) => id === session?.device)
    const data = { ...facts(ended), ...(device ? { device: { id: device.id, name: device.name } } : {}) }
    for (const stream of streams.get(ended.sub) ?? []) send(stream, 'session-ended', data, ended.seq)
  }
  async function replay(stream: Stream, lastSeq: number) {
    const { sub } = stream.claims
    const sessions = await store.read({
      ...{ kind: 'account-sessions', sub, endedSince: now() - REPLAY, limit: 200 },
    })
    const missed = sessions.filter(({ ended }) => ended && ended.seq > lastSeq)
    for (const session of missed.reverse()) {
      const { seq, at, reason } = session.ended as NonNullable<Session['ended']>
      send(stream, 'session-ended', facts({ ...session, at, reason }), seq)
    }
  }
  async function lookAgain(stream: Stream) {
    const session = await store.read({ kind: 'session', sid: stream.claims.sid })
    if (session && !session.ended && holdsAnything(session, config.policy, now()))
      stream.lookAt = now() + GRACE
    else end(stream, 'token-expired', {})
  }
  const beat = setInterval(() => {
    for (const stream of all()) {
      if (stream.res.writableLength > MOST_BEHIND) stream.res.destroy()
      else stream.res.write(': still here\n\n')
      if (stream.lookAt > now()) continue
      stream.lookAt = now() + GRACE
      lookAgain(stream).catch((error: Error) => log.warn({ error: error.message }, 'events: not looked at'))
    }
  }, BEAT)
  beat.unref()

  return {
    async endpoint(req, res) {
      const claims = await authenticate(authority, req)
      // In one turn with joining the others: a revocation in between would be heard by nobody.
      if (!claims || view.dead(claims)) throw authenticationFailed()
      const mine = streams.get(claims.sub) ?? new Set()
      if (mine.size >= MAX_OF_ACCOUNT || all().length >= MAX_STREAMS)
        throw new RescindError('RATE_LIMITED', 'Too many event streams are open. Close some.', 10)
      const stream = { claims, lookAt: claims.exp * 1000 + GRACE, res }
      streams.set(claims.sub, mine.add(stream))
      res.once('close', () => remove(stream))
      res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      res.write(': connected\n\n')
      const last = Number(req.headers['last-event-id'])
      if (Number.isSafeInteger(last) && last > 0) await replay(stream, last)
    },
    hear(revocation) {
      if (streams.size === 0 || revocation.what === 'refresh_token') return
      const { reason, seq, at } = revocation
      const last = { reason, at: new Date(at).toISOString(), current: true }
      if (revocation.what === 'cut_off') {
        for (const stream of all()) if (view.cutOff(stream.claims)) end(stream, 'session-ended', last, seq)
        return
      }
      const { what, sub, sid, jti } = revocation
      for (const stream of [...(streams.get(sub) ?? [])]) {
        const { claims } = stream
        if (claims.sid === sid && (jti ?? claims.jti) === claims.jti)
          end(stream, 'session-ended', { sid, ...last }, seq)
      }
      if (what === 'session')
        tellOthers(revocation).catch((error: Error) => log.warn({ error: error.message }, 'events: not told'))
    },
    close() {
      clearInterval(beat)
      for (const { res } of all()) res.end()
    },
  }
}

function facts({ sid, clientId, reason, at }: Pick<Ended, 'sid' | 'clientId' | 'reason' | 'at'>) {
  return { sid, clientId, reason, at: new Date(at).toISOString(), current: false }
}

function send({ res }: Stream, event: string, data: Record<string, unknown>, id?: number) {
  if (res.writableEnded || res.destroyed) return
  if (res.writableLength > MOST_BEHIND) return void res.destroy()
  res.write(`event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`)
}
