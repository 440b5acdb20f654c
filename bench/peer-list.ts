import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../test/postgres.ts'
import { FORM } from './load.ts'
import { betterAuthLacks, oauth2ServerLacks, oidcLacks, outlivesCrash, outlivesKill } from './peer-checks.ts'
import type { PeerServer } from './peer-process.ts'

/* Who is measured beside the authority, how it is set up, and how it is asked. */

export type PeerOperation = 'revoke' | 'introspect' | 'refresh' | 'check'

/** Also what does not say which kind of token it is about. */
export type Asked = PeerOperation | 'revokeAny' | 'introspectAny'
/** A request: a form around a token, or a token as the bearer of a request. */
export type Ask = { path: string; headers: string[]; before: string; bearer?: boolean }

export type Place = {
  /** What its process is told to open. */
  open: Record<string, unknown>
  /** Takes the power from what keeps its data, and gives it back. */
  crash?(): Promise<void>
  stop(): Promise<void>
}

export type Peer = {
  name: string
  configuration: string
  durable: boolean
  /** In bench/. */
  file: string
  asks: Partial<Record<Asked, Ask>>
  /** How many sessions one run of revocations ends: some seconds’ worth. */
  revocations: number
  place(): Promise<Place>
  /** What it does not do: found out by asking it. */
  lacks(server: PeerServer, place: Place): Promise<string[]>
}

const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, 'peers/package.json'), 'utf8'))
const version = (name: string) => `${name} ${dependencies[name]}`

/** Of the client that asks. */
const SECRET = randomBytes(24).toString('base64url')
const basic = (id: string) => [...FORM, `authorization: Basic ${btoa(`${id}:${SECRET}`)}`]

const OIDC_ASKS: Peer['asks'] = {
  revoke: {
    ...{ path: '/token/revocation', headers: FORM },
    before: 'client_id=bench-app&token_type_hint=refresh_token&token=',
  },
  revokeAny: { path: '/token/revocation', headers: FORM, before: 'client_id=bench-app&token=' },
  introspectAny: { path: '/token/introspection', headers: basic('bench-api'), before: 'token=' },
  introspect: {
    ...{ path: '/token/introspection', headers: basic('bench-api') },
    before: 'token_type_hint=access_token&token=',
  },
  refresh: {
    ...{ path: '/token', headers: FORM },
    before: 'grant_type=refresh_token&client_id=bench-app&refresh_token=',
  },
}

const OIDC =
  'opaque access tokens, no ID token, no session to look up, clients from the configuration, each request with its token_type_hint; a revocation is of the refresh token, which ends its grant; node:http, plain'

const oidcInMemory: Peer = {
  ...{ name: `${version('oidc-provider')} in memory`, file: 'peers/oidc.mjs', asks: OIDC_ASKS },
  configuration: `an adapter of plain maps (its own forgets all but 1,000 entries), nothing on disk; ${OIDC}`,
  ...{ durable: false, revocations: 6_000 },
  place: async () => ({ open: { secret: SECRET }, stop: async () => {} }),
  lacks: async (server, place) => [...(await oidcLacks(server)), ...(await outlivesKill(server, place.open))],
}

const oidcOnPostgres: Peer = {
  ...{ name: `${version('oidc-provider')} on PostgreSQL`, file: 'peers/oidc.mjs', asks: OIDC_ASKS },
  configuration: `an adapter on ${version('pg')}: one table, one prepared statement for each call of the library, each committed by itself (synchronous_commit on), 20 connections, the deletions by grant joined into one; ${OIDC}`,
  ...{ durable: true, revocations: 2_000 },
  async place() {
    const postgres = await startPostgres()
    const url = await postgres.newDatabase()
    const { crash, stop } = postgres
    return { open: { secret: SECRET, url }, crash, stop }
  },
  lacks: async (server, place) => [...(await oidcLacks(server)), ...(await outlivesCrash(server, place))],
}

const AUTH = '/api/auth/oauth2'
const betterAuth: Peer = {
  name: `${version('better-auth')} on SQLite`,
  configuration: `${version('@better-auth/oauth-provider')}, ${version('better-sqlite3')} with journal_mode=WAL and synchronous=FULL, opaque tokens stored as SHA-256, no ID token, the client cached (cachedTrustedClients) with a hashed secret, each request with its token_type_hint; rate limit, telemetry, log, CSRF and origin checks off, refreshTokenReuseInterval 0 (its default); a revocation is of the refresh token, which deletes its access tokens; its toNodeHandler on node:http, NODE_ENV=production (its handler builds its router anew for each request, whatever is configured)`,
  ...{ file: 'peers/better-auth.mjs', durable: true, revocations: 800 },
  asks: {
    revoke: {
      ...{ path: `${AUTH}/revoke`, headers: basic('bench-app') },
      before: 'token_type_hint=refresh_token&token=',
    },
    revokeAny: { path: `${AUTH}/revoke`, headers: basic('bench-app'), before: 'token=' },
    introspectAny: { path: `${AUTH}/introspect`, headers: basic('bench-app'), before: 'token=' },
    introspect: {
      ...{ path: `${AUTH}/introspect`, headers: basic('bench-app') },
      before: 'token_type_hint=access_token&token=',
    },
    refresh: {
      ...{ path: `${AUTH}/token`, headers: basic('bench-app') },
      before: 'grant_type=refresh_token&refresh_token=',
    },
  },
  async place() {
    const folder = await mkdtemp(join(tmpdir(), 'rescind-bench-peer-'))
    const remove = () => rmSync(folder, { recursive: true, force: true })
    process.once('exit', remove)
    return { open: { secret: SECRET, file: join(folder, 'peer.db') }, stop: async () => remove() }
  },
  lacks: async (server, place) => [
    ...(await betterAuthLacks(server)),
    ...(await outlivesCrash(server, place)),
  ],
}

const oauth2Server: Peer = {
  name: `${version('@node-oauth/oauth2-server')} in memory`,
  configuration:
    'authenticate() with its default options on node:http, the model a map from token to account; the token is in the Authorization header, every request with another one in turn',
  ...{ file: 'peers/oauth2-server.mjs', durable: false, revocations: 0 },
  asks: { check: { path: '/', headers: [], before: '', bearer: true } },
  place: async () => ({ open: {}, stop: async () => {} }),
  lacks: (server) => oauth2ServerLacks(server),
}

export const PEERS: Peer[] = [oidcInMemory, oidcOnPostgres, betterAuth, oauth2Server]
