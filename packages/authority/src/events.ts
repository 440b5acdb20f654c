import type { ServerResponse } from 'node:http'
import type { AccessTokenClaims } from '@rescind/guard/claims'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority, Events } from './authority.ts'
import type { Ended } from './domain/ending.ts'
import { holdsAnything, type Session } from './domain/session.ts'
import { endedPageUrl } from './ended-code.ts'
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

type Streams = ReturnType<typeof createStreams>

/** The streams that are open, by account. */
function createStreams() {
  const byAccount = new Map<string, Set<Stream>>()
  function remove(stream: Stream) {
    const { sub } = stream.claims
    const mine = byAccount.get(sub)
    mine?.delete(stream)
    if (mine?.size === 0) byAccount.delete(sub)
  }
  return {
    all: () => [...byAccount.values()].flatMap((some) => [...some]),
    of: (sub: string): Stream[] => [...(byAccount.get(sub) ?? [])],
    add(stream: Stream) {
      const { sub } = stream.claims
      byAccount.set(sub, (byAccount.get(sub) ?? new Set()).add(stream))
      stream.res.once('close', () => remove(stream))
    },
    end(stream: Stream, event: string, data: Record<string, unknown>, id?: number) {
      remove(stream)
      send(stream, event, data, id)
      stream.res.end()
      setTimeout(() => stream.res.destroy(), FAREWELL).unref()
    },
  }
}

/** Tells the account's other sessions which one ended, and on which device. */
async function tellOthers({ store }: Authority, streams: Streams, ended: Ended & { seq: number }) {
  if (streams.of(ended.sub).length === 0) return
  const [session, devices] = await Promise.all([
    store.read({ kind: 'session', sid: ended.sid }),
    store.read({ kind: 'devices', sub: ended.sub }),
  ])
  const device = devices.find(({ id }) => id === session?.device)
  const data = { ...facts(ended), ...(device ? { device: { id: device.id, name: device.name } } : {}) }
  for (const stream of streams.of(ended.sub)) send(stream, 'session-ended', data, ended.seq)
}

/** What a stream that comes back has missed since `lastSeq`. */
async function replay({ store, now }: Authority, stream: Stream, lastSeq: number) {
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

/** After its token has expired a stream stays for as long as its session could get another one. */
async function lookAgain({ store, config, now }: Authority, streams: Streams, stream: Stream) {
  const session = await store.read({ kind: 'session', sid: stream.claims.sid })
  if (session && !session.ended && holdsAnything(session, config.policy, now())) stream.lookAt = now() + GRACE
  else streams.end(stream, 'token-expired', {})
}

export function createEvents(authority: Authority): Events {
  const { view, now, log } = authority
  const streams = createStreams()
  const warn = (error: Error) => log.warn({ error: error.message }, 'events')
  const beat = setInterval(() => {
    for (const stream of streams.all()) {
      if (stream.res.writableLength > MOST_BEHIND) stream.res.destroy()
      else stream.res.write(': still here\n\n')
      if (stream.lookAt > now()) continue
      stream.lookAt = now() + GRACE
      lookAgain(authority, streams, stream).catch(warn)
    }
  }, BEAT)
  beat.unref()

  return {
    async endpoint(req, res) {
      const claims = await authenticate(authority, req)
      // In one turn with joining the others: a revocation in between would be heard by nobody.
      if (!claims || view.dead(claims)) throw authenticationFailed()
      if (streams.of(claims.sub).length >= MAX_OF_ACCOUNT || streams.all().length >= MAX_STREAMS)
        throw new RescindError('RATE_LIMITED', 'Too many event streams are open. Close some.', 10)
      const stream = { claims, lookAt: claims.exp * 1000 + GRACE, res }
      streams.add(stream)
      res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      res.write(': connected\n\n')
      const last = Number(req.headers['last-event-id'])
      if (Number.isSafeInteger(last) && last > 0) await replay(authority, stream, last)
    },
    hear(revocation) {
      if (revocation.what === 'refresh_token') return
      const { reason, seq, at } = revocation
      const last = { reason, at: new Date(at).toISOString(), current: true }
      if (revocation.what === 'cut_off') {
        for (const stream of streams.all())
          if (view.cutOff(stream.claims))
            streams.end(
              stream,
              'session-ended',
              { ...last, page: endedPageUrl(authority, stream.claims.sid) },
              seq,
            )
        return
      }
      const { what, sub, sid, jti } = revocation
      for (const stream of streams.of(sub)) {
        const { claims } = stream
        if (claims.sid === sid && (jti ?? claims.jti) === claims.jti)
          streams.end(stream, 'session-ended', { sid, ...last, ...pageOf(authority, what, sid) }, seq)
      }
      if (what === 'session') tellOthers(authority, streams, revocation).catch(warn)
    },
    close() {
      clearInterval(beat)
      for (const { res } of streams.all()) res.end()
    },
  }
}

/** Where the person is told why; a session that goes on has no such page. */
function pageOf(authority: Authority, what: Ended['what'], sid: string) {
  return what === 'session' ? { page: endedPageUrl(authority, sid) } : {}
}

function facts({ sid, clientId, reason, at }: Pick<Ended, 'sid' | 'clientId' | 'reason' | 'at'>) {
  return { sid, clientId, reason, at: new Date(at).toISOString(), current: false }
}

function send({ res }: Stream, event: string, data: Record<string, unknown>, id?: number) {
  if (res.writableEnded || res.destroyed) return
  if (res.writableLength > MOST_BEHIND) return void res.destroy()
  res.write(`event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`)
}
