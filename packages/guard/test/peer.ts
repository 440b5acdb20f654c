import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { deflateSync } from 'node:zlib'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { type WebSocket, WebSocketServer } from 'ws'
import { GuardError, type GuardErrorCode } from '../src/errors.ts'
import { basic } from '../src/feed.ts'
import { type FeedMessage, type Position, readAck, type SessionEnding } from '../src/protocol.ts'
import { LIST_SIZE, listUri } from '../src/status.ts'

/*
 * An authority as small as the guard's tests need one: its keys, its status list, its feed, its introspection, over
 * real HTTP and WebSockets. It can be told to misbehave.
 */

export const AUDIENCE = 'https://api.example'
export const CREDENTIALS = { clientId: 'the api', clientSecret: 'a secret: 100% + more' }

/** A place in the log as these tests have it. */
export const placeOf = (seq: number): Position => ({ seq, tag: seq === 0 ? '' : `tag-${seq}` })

export type Keys = { privateKey: CryptoKey; publicKey: CryptoKey; jwk: JWK }

export async function makeKeys(kid: string): Promise<Keys> {
  const pair = await generateKeyPair('Ed25519', { extractable: true })
  return { ...pair, jwk: { ...(await exportJWK(pair.publicKey)), kid, use: 'sig', alg: 'EdDSA' } }
}

/** An access token; an undefined claim or header field is left out. */
export function signToken(
  { privateKey, jwk }: Keys,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const payload = {
    ...{ sub: 'ann', aud: AUDIENCE, client_id: 'app', sid: 's1', jti: 't1', scope: 'notes:read notes:write' },
    ...{ status: { status_list: { idx: 7, uri: listUri(`${claims.iss}`, 0) } } },
    ...{ iat: now, exp: now + 600, ...claims },
  }
  return new SignJWT(payload)
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: jwk.kid, ...header })
    .sign(privateKey)
}

export type Peer = {
  issuer: string
  port: number
  keys: Keys
  /** What the JWKS holds; change it at will. */
  jwks: unknown[]
  log: SessionEnding[]
  /** Which APIs these credentials are of. */
  resources: string[]
  /** The oldest revocation that the log still has. */
  logStart: number
  /** The authority's clock is off by so much, in ms. */
  clock: number
  firstList: number
  /** What introspection answers. */
  active: boolean
  introspectStatus: number
  /** Awaited before introspection answers. */
  onIntrospect?: () => Promise<unknown>
  /** Changes the status list before it is sent. */
  onList?: (token: string) => string
  /** `silent`: the feed is accepted, gets ready, and says nothing more. */
  feed: 'open' | 'refused' | 'silent'
  /** Pings are not answered. */
  muted: boolean
  /** Pings are answered so late, in ms. */
  pongAfter: number
  seen: { path: string; since: string | null; authorization?: string; token?: string }[]
  /** What guards have acknowledged. */
  acks: number[]
  /** A token; each `jti` has a place of its own in the status list. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
  revoke(what: { sid: string; jti?: string; reason?: string }): SessionEnding
  /** Revokes without telling anybody. */
  revokeUnheard(what: { sid: string; jti?: string; reason?: string }): SessionEnding
  /** Sends a frame to every open feed, whatever it is. */
  write(text: string | Buffer): void
  message(message: FeedMessage): void
  /** Cuts every open feed off. */
  cut(): void
  stop(): Promise<void>
}

export async function startPeer(options: { port?: number; keys?: Keys } = {}): Promise<Peer> {
  const keys = options.keys ?? (await makeKeys('k1'))
  const indexes = new Map<string, number>()
  const tokensOf = new Map<string, Set<string>>()
  const server = createServer((req, res) => void answer(req, res))
  const sockets = new WebSocketServer({ noServer: true, autoPong: false })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const head = () => peer.log.at(-1)?.seq ?? 0
  const rescindPlace = () => ({ rescind_seq: head(), rescind_tag: placeOf(head()).tag })
  const beatOf = () => ({
    ...{ ...placeOf(head()), prev: head() },
    ...{ at: Date.now() + peer.clock, firstList: peer.firstList },
  })
  const kids = () => peer.jwks.map((jwk) => `${(jwk as JWK)?.kid}`)
  const beat = setInterval(() => {
    if (peer.feed === 'open') peer.message({ type: 'heartbeat', ...beatOf() })
  }, 100)

  async function statusList() {
    const bytes = new Uint8Array(LIST_SIZE / 8)
    for (const { tokens } of peer.log) {
      for (const idx of tokens) bytes[idx >> 3] = (bytes[idx >> 3] ?? 0) | (1 << (idx & 7))
    }
    const iat = Math.floor((Date.now() + peer.clock) / 1000)
    const lst = deflateSync(bytes).toString('base64url')
    const claims = { sub: listUri(issuer, 0), iat, exp: iat + 300, ttl: 10, ...rescindPlace() }
    const token = await new SignJWT({ ...claims, status_list: { bits: 1, lst } })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'statuslist+jwt', kid: keys.jwk.kid })
      .sign(keys.privateKey)
    return peer.onList?.(token) ?? token
  }
  async function answer(req: IncomingMessage, res: ServerResponse) {
    res.setHeader('date', new Date(Date.now() + peer.clock).toUTCString())
    const { pathname, entry } = note(req)
    let body = ''
    for await (const chunk of req) body += chunk
    entry.token = new URLSearchParams(body).get('token') ?? undefined
    if (pathname === '/oauth/jwks') return res.end(JSON.stringify({ keys: peer.jwks }))
    if (pathname === '/status-lists')
      return res.end(JSON.stringify({ status_lists: [listUri(issuer, 0)], ...rescindPlace() }))
    if (pathname === '/status-lists/0') return res.end(await statusList())
    if (pathname !== '/oauth/introspect') return res.writeHead(404).end()
    await peer.onIntrospect?.()
    res.writeHead(peer.introspectStatus).end(JSON.stringify({ active: peer.active }))
  }
  function note(req: IncomingMessage) {
    const { pathname, searchParams } = new URL(req.url ?? '/', issuer)
    const since = searchParams.get('since')
    const entry: Peer['seen'][number] = { path: pathname, since, authorization: req.headers.authorization }
    peer.seen.push(entry)
    return { pathname, since, entry }
  }
  server.on('upgrade', (req, socket, start) => {
    const { since } = note(req)
    // The guard may be gone before it is answered.
    socket.on('error', () => {})
    const refused = peer.feed === 'refused' ? 503 : req.headers.authorization !== basic(CREDENTIALS) ? 401 : 0
    if (refused) return void socket.end(`HTTP/1.1 ${refused} No\r\nConnection: close\r\n\r\n`)
    sockets.handleUpgrade(req, socket, start, (feed) => {
      feed.on('error', () => {})
      feed.on('ping', (data) => {
        if (!peer.muted) setTimeout(() => feed.pong(data), peer.pongAfter)
      })
      feed.on('message', (data) => peer.acks.push(readAck(data.toString()) ?? -1))
      welcome(feed, Number(since))
    })
  })
  function welcome(feed: WebSocket, since: number) {
    const send = (message: FeedMessage) => feed.send(JSON.stringify(message))
    if (peer.logStart > since + 1) return send({ type: 'reload' })
    let prev = since
    for (const record of peer.log.filter(({ seq }) => seq > since)) {
      send({ type: 'revocation', ...record, ...placeOf(record.seq), prev })
      prev = record.seq
    }
    send({ type: 'ready', guard: 'g1', resources: peer.resources, kids: kids(), ...beatOf(), prev })
  }

  const peer: Peer = {
    ...{
      issuer,
      port,
      keys,
      jwks: [keys.jwk],
      resources: [AUDIENCE],
      log: [],
      logStart: 1,
      clock: 0,
      firstList: 0,
    },
    ...{ active: true, introspectStatus: 200, feed: 'open', muted: false, pongAfter: 0, seen: [], acks: [] },
    token(claims = {}, header = {}) {
      const { sid = 's1', jti = 't1' } = claims as { sid?: string; jti?: string }
      if (!indexes.has(jti)) indexes.set(jti, indexes.size)
      tokensOf.set(sid, (tokensOf.get(sid) ?? new Set()).add(jti))
      const status = { status_list: { idx: indexes.get(jti), uri: listUri(issuer, 0) } }
      return signToken(keys, { iss: issuer, status, ...claims }, header)
    },
    revokeUnheard({ reason = 'user_logout', ...what }) {
      const dead = what.jti === undefined ? [...(tokensOf.get(what.sid) ?? [])] : [what.jti]
      const tokens = dead.flatMap((jti) => indexes.get(jti) ?? [])
      const record = { seq: head() + 1, at: Date.now(), ...what, reason, tokens }
      peer.log.push(record)
      return record
    },
    revoke(what) {
      const prev = head()
      const record = peer.revokeUnheard(what)
      peer.message({ type: 'revocation', ...record, ...placeOf(record.seq), prev })
      return record
    },
    write(text) {
      for (const feed of sockets.clients) feed.send(text)
    },
    message: (message) => peer.write(JSON.stringify(message)),
    cut() {
      for (const feed of sockets.clients) feed.terminate()
    },
    stop() {
      clearInterval(beat)
      peer.cut()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return peer
}

/** Waits until something is so; fails after ten seconds. */
export async function until(what: () => unknown): Promise<void> {
  for (const end = Date.now() + 10_000; !(await what()); ) {
    if (Date.now() > end) throw new Error(`this never came to be: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Expects a GuardError. */
export async function refused(
  what: Promise<unknown>,
  code: GuardErrorCode,
  challenge?: string,
): Promise<GuardError> {
  const error = await what.then(
    () => assert.fail('it was let through'),
    (error: unknown) => error,
  )
  assert.ok(error instanceof GuardError, `${error}`)
  assert.equal(error.code, code)
  if (challenge !== undefined) assert.equal(error.headers['www-authenticate'], challenge)
  return error
}

export type FeedServer = {
  url: string
  visits: { since: string | null; tag: string | null; authorization?: string; at: number }[]
  /** What was said on each connection. */
  said: string[][]
  close(): Promise<void>
}

/**
 * A feed that says what a test tells it to, and nothing more.
 * @param welcome is called for each connection, the first is 0
 * @param options.refuse the status that a connection is refused with
 */
export async function serveFeed(
  welcome: (feed: WebSocket, visit: number, socket: Duplex) => void,
  options: { refuse?: (visit: number) => number | undefined; autoPong?: boolean } = {},
): Promise<FeedServer> {
  const { refuse, autoPong = true } = options
  const server = createServer((_, res) => res.writeHead(404).end())
  const sockets = new WebSocketServer({ noServer: true, autoPong })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/feed`
  const visits: FeedServer['visits'] = []
  const said: string[][] = []
  server.on('upgrade', (req, socket, start) => {
    const query = new URL(req.url ?? '/', url).searchParams
    const asked = { since: query.get('since'), tag: query.get('tag') }
    const { authorization } = req.headers
    const visit = visits.push({ ...asked, authorization, at: performance.now() }) - 1
    const lines: string[] = []
    said.push(lines)
    socket.on('error', () => {})
    const status = refuse?.(visit)
    if (status !== undefined)
      return void socket.end(`HTTP/1.1 ${status} No\r\nLocation: ${url}\r\nConnection: close\r\n\r\n`)
    sockets.handleUpgrade(req, socket, start, (feed) => {
      feed.on('message', (data) => lines.push(`${data}`))
      feed.on('error', () => {})
      welcome(feed, visit, socket)
    })
  })
  return {
    ...{ url, visits, said },
    close() {
      for (const feed of sockets.clients) feed.terminate()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
