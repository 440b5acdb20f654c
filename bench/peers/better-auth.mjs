// better-auth with its OAuth provider, as its documentation sets it up, on SQLite through better-sqlite3.
import './production.mjs'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { oauthProvider } from '@better-auth/oauth-provider'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'
import Database from 'better-sqlite3'
import { serveCommands } from '../worker.ts'

const APP = 'bench-app'
const RESOURCE = 'https://api.example'
const SCOPES = ['notes', 'offline_access']
const HOUR = 3_600_000

let database
let context

// A request that fails says so in its answer, and is counted there.
const { error } = console
console.error = (first, ...rest) => `${first}`.startsWith('# SERVER_ERROR') || error(first, ...rest)

const hash = (text) => createHash('sha256').update(text).digest('base64url')
/** As its own are made: 32 letters. */
const letters = () => Array.from(randomBytes(32), (byte) => String.fromCharCode(97 + (byte % 26))).join('')

function configuration(port, secret) {
  return {
    ...{ database, secret, baseURL: `http://127.0.0.1:${port}` },
    ...{ rateLimit: { enabled: false }, telemetry: { enabled: false }, logger: { disabled: true } },
    advanced: { disableCSRFCheck: true, disableOriginCheck: true },
    plugins: [
      jwt(),
      oauthProvider({
        ...{ loginPage: '/sign-in', consentPage: '/consent', scopes: SCOPES },
        ...{ cachedTrustedClients: new Set([APP]), silenceWarnings: { oauthAuthServerConfig: true } },
        // Only the tokens that are asked for by this resource are JWTs: none of those that are timed.
        ...{ resources: [RESOURCE], enforcePerClientResources: false },
      }),
    ],
  }
}

async function open({ secret, file }) {
  database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.pragma('cache_size = -65536')
  const server = createServer((request, response) => handle(request, response))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  const options = configuration(port, secret)
  await (await getMigrations(options)).runMigrations()
  const auth = betterAuth(options)
  const handle = toNodeHandler(auth)
  context = await auth.$context
  if (!database.prepare('SELECT 1 FROM oauthClient').get()) await register(secret)
  return { port, pid: process.pid }
}

async function register(secret) {
  const now = new Date()
  const data = {
    ...{ clientId: APP, clientSecret: hash(secret), tokenEndpointAuthMethod: 'client_secret_basic' },
    ...{ scopes: SCOPES, redirectUris: ['https://app.example/callback'], name: 'Bench' },
    ...{ grantTypes: ['authorization_code', 'refresh_token'], responseTypes: ['code'] },
    ...{ createdAt: now, updatedAt: now, disabled: false },
  }
  await context.adapter.create({ model: 'oauthClient', data })
}

/** What a sign-in and a code exchange leave behind, written by the library’s own adapter. */
async function sample() {
  const [now, later] = [new Date(), new Date(Date.now() + 24 * HOUR)]
  const times = { createdAt: now, updatedAt: now }
  const create = (model, data) => context.adapter.create({ model, data })
  const user = await create('user', {
    ...{ name: 'Bench', email: `${letters()}@mail.example`, emailVerified: true, ...times },
  })
  const session = await create('session', { userId: user.id, token: letters(), expiresAt: later, ...times })
  const of = { clientId: APP, sessionId: session.id, userId: user.id, scopes: SCOPES, createdAt: now }
  const refresh = await create('oauthRefreshToken', {
    ...{ ...of, token: hash(letters()), expiresAt: later },
  })
  const access = await create('oauthAccessToken', {
    ...{ ...of, token: hash(letters()), refreshId: refresh.id, expiresAt: new Date(Date.now() + HOUR) },
  })
  return { user, session, oauthRefreshToken: refresh, oauthAccessToken: access }
}

/** Copies of one whole sample, each of an account of its own, in one transaction. */
async function issue({ count }) {
  const made = await sample()
  const tables = Object.entries(made).map(([table, { id }]) => {
    const row = database.prepare(`SELECT * FROM "${table}" WHERE id = ?`).get(id)
    const columns = Object.keys(row)
    const sql = `INSERT INTO "${table}" (${columns.map((one) => `"${one}"`)}) VALUES (${columns.map((one) => `@${one}`)})`
    return { table, row, insert: database.prepare(sql) }
  })
  const pairs = []
  database.transaction(() => {
    for (let n = 0; n < count; n++) {
      const pair = { accessToken: letters(), refreshToken: letters() }
      const [userId, sessionId, refreshId] = [letters(), letters(), letters()]
      const own = {
        user: { id: userId, email: `${userId}@mail.example` },
        session: { id: sessionId, userId, token: letters() },
        oauthRefreshToken: { id: refreshId, userId, sessionId, token: hash(pair.refreshToken) },
        oauthAccessToken: { id: letters(), userId, sessionId, refreshId, token: hash(pair.accessToken) },
      }
      for (const { table, row, insert } of tables) insert.run({ ...row, ...own[table] })
      pairs.push(pair)
    }
  })()
  database.exec('ANALYZE')
  return pairs
}

/** How many of these refresh tokens belong to a session that is still signed in. */
function signedIn({ refreshTokens }) {
  const find = database.prepare(
    'SELECT 1 FROM session s JOIN oauthRefreshToken r ON r.sessionId = s.id WHERE r.token = ? AND s.expiresAt > ?',
  )
  return refreshTokens.filter((token) => find.get(hash(token), new Date().toISOString())).length
}

serveCommands({ open, issue, signedIn })
