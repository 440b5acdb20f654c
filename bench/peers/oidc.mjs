// oidc-provider as its documentation sets it up, with tokens that its own models make.
import './production.mjs'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { serveCommands } from '../worker.ts'
import { inMemory } from './oidc-memory.mjs'
import { onPostgres } from './oidc-postgres.mjs'

const { warn } = console
// It does not know Node 26 yet, and says so.
console.warn = () => {}
const { Provider } = await import('oidc-provider')
console.warn = warn

const APP = 'bench-app'
const RESOURCE = 'https://api.example'
const SCOPE = 'notes offline_access'

let provider
let store

function configuration(secret) {
  const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const resource = {
    ...{ scope: 'notes', audience: RESOURCE, accessTokenFormat: 'jwt' },
    jwt: { sign: { alg: 'EdDSA' } },
  }
  return {
    adapter: store.adapter,
    clients: [
      {
        ...{ client_id: APP, token_endpoint_auth_method: 'none', response_types: ['code'] },
        ...{
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: ['https://app.example/callback'],
        },
        id_token_signed_response_alg: 'EdDSA',
      },
      {
        ...{ client_id: 'bench-api', client_secret: secret, id_token_signed_response_alg: 'EdDSA' },
        ...{ grant_types: [], response_types: [], redirect_uris: [] },
      },
    ],
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === 'bench-api' },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
      // Only the tokens that are asked for by this resource are JWTs: none of those that are timed.
      resourceIndicators: {
        ...{ enabled: true, defaultResource: () => undefined, useGrantedResource: () => true },
        getResourceServerInfo: () => resource,
      },
    },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ...{ rotateRefreshToken: true, scopes: ['offline_access', 'notes'] },
    ttl: { AccessToken: 3600, RefreshToken: 86_400, Grant: 86_400 },
    ...{ jwks: { keys: [{ ...key, alg: 'EdDSA', use: 'sig' }] }, cookies: { keys: [secret] } },
  }
}

async function open({ secret, url }) {
  store = url ? await onPostgres(url) : inMemory()
  const server = createServer((request, response) => handle(request, response))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  provider = new Provider(`http://127.0.0.1:${port}`, configuration(secret))
  const handle = provider.callback()
  return { port, pid: process.pid }
}

/** Sessions as a code exchange leaves them, each with a grant of an account of its own. */
async function issue({ count, jwt }) {
  const client = await provider.Client.find(APP)
  return store.together(async () => {
    const pairs = []
    for (let n = 0; n < count; n++) {
      const accountId = randomBytes(12).toString('base64url')
      const grant = new provider.Grant({ accountId, clientId: APP })
      grant.addOIDCScope(SCOPE)
      if (jwt) grant.addResourceScope(RESOURCE, 'notes')
      const grantId = await grant.save()
      const of = { accountId, client, grantId, gty: 'authorization_code' }
      const refresh = new provider.RefreshToken({
        ...of,
        scope: SCOPE,
        ...(jwt ? { resource: RESOURCE } : {}),
      })
      const access = new provider.AccessToken({ ...of, scope: 'notes' })
      pairs.push({ accessToken: await access.save(), refreshToken: await refresh.save() })
    }
    return pairs
  })
}

serveCommands({ open, issue })
