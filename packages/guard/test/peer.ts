import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { basic } from '../src/feed.ts'
import type { RevocationRecord } from '../src/view.ts'

/* An authority as small as the guard's tests need one: its keys, its feed, its introspection, over real HTTP. */

export const AUDIENCE = 'https://api.example'
export const CREDENTIALS = { clientId: 'the api', clientSecret: 'a secret: 100% + more' }

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
  log: RevocationRecord[]
  /** What introspection answers. */
  active: boolean
  introspectStatus: number
  /** Awaited before introspection answers. */
  onIntrospect?: () => Promise<unknown>
  /** `silent`: the feed is accepted, gets ready, and says nothing more. */
  feed: 'open' | 'refused' | 'silent'
  seen: { path: string; since: string | null; authorization?: string; token?: string }[]
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
  revoke(what: { sid: string; jti?: string; reason?: string }): RevocationRecord
  /** Writes to every open feed, whatever it is. */
  write(text: string): void
  /** Cuts every open feed off. */
  cut(): void
  stop(): Promise<void>
}

export async function startPeer(options: { port?: number; keys?: Keys } = {}): Promise<Peer> {
  const keys = options.keys ?? (await makeKeys('k1'))
  const feeds = new Set<ServerResponse>()
  const server = createServer((req, res) => void answer(req, res))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const head = () => peer.log.at(-1)?.seq ?? 0
  const line = (record: RevocationRecord) => `${JSON.stringify({ type: 'revocation', ...record })}\n`
  const beat = setInterval(() => {
    if (peer.feed === 'open') peer.write(`{"type":"heartbeat","seq":${head()}}\n`)
  }, 100)

  async function answer(req: IncomingMessage, res: ServerResponse) {
    const { pathname, searchParams } = new URL(req.url ?? '/', issuer)
    let body = ''
    for await (const chunk of req) body += chunk
    const token = new URLSearchParams(body).get('token') ?? undefined
    const since = searchParams.get('since')
    peer.seen.push({ path: pathname, since, authorization: req.headers.authorization, token })
    if (pathname === '/oauth/jwks') return res.end(JSON.stringify({ keys: peer.jwks }))
    if (pathname === '/oauth/introspect') await peer.onIntrospect?.()
    if (pathname === '/oauth/introspect')
      return res.writeHead(peer.introspectStatus).end(JSON.stringify({ active: peer.active }))
    if (pathname !== '/feed' || peer.feed === 'refused') return res.writeHead(503).end()
    if (req.headers.authorization !== basic(CREDENTIALS)) return res.writeHead(401).end()
    feeds.add(res)
    res.on('close', () => feeds.delete(res))
    res.writeHead(200, { 'content-type': 'application/x-ndjson' })
    const records = peer.log.filter(({ seq }) => seq > Number(since ?? 0))
    res.write(`${records.map(line).join('')}{"type":"ready","seq":${head()}}\n`)
  }

  const peer: Peer = {
    ...{
      issuer,
      port,
      keys,
      jwks: [keys.jwk],
      log: [],
      active: true,
      introspectStatus: 200,
      feed: 'open',
      seen: [],
    },
    token: (claims = {}, header = {}) => signToken(keys, { iss: issuer, ...claims }, header),
    revoke({ reason = 'user_logout', ...what }) {
      const at = Date.now()
      const record = { seq: head() + 1, at, ...what, exp: Math.ceil(at / 1000) + 600, reason }
      peer.log.push(record)
      peer.write(line(record))
      return record
    },
    write(text) {
      for (const res of feeds) res.write(text)
    },
    cut() {
      for (const res of feeds) res.destroy()
    },
    stop() {
      clearInterval(beat)
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
