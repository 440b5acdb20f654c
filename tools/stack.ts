import { randomBytes } from 'node:crypto'
import { startExampleApi } from '../examples/api/api.ts'
import { startExampleWeb } from '../examples/web/web.ts'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { type Config, ConfigError, readConfig } from '../packages/authority/src/config.ts'
import { type RunningAuthority, startAuthority } from '../packages/authority/src/main.ts'

/** The person whom the demonstration knows. It only ever runs on this machine. */
export const DEMO_PERSON = { email: 'demo@example.com', password: 'demo-password', name: 'Dana Demo' }
export const DEMO_CLIENT = 'demo-web'

export type Stack = {
  authority: RunningAuthority
  config: Config
  issuer: string
  api: string
  web: string
  close(): Promise<void>
}

/**
 * Starts the whole demonstration: an authority, an API that its guard protects, and a page that uses both. The API
 * listens one port above the authority, the page two.
 */
export async function startStack(flags: Record<string, string | undefined>): Promise<Stack> {
  const base = readConfig(flags, process.env)
  if (!['127.0.0.1', 'localhost', '::1'].includes(base.host)) {
    throw new ConfigError(
      `\`host\` is ${base.host}: the demonstration has a known password and stays on this machine. ` +
        'For a real deployment run: npm run rescind -- serve',
    )
  }
  const api = `http://127.0.0.1:${base.port + 1}`
  const web = `http://127.0.0.1:${base.port + 2}`
  const credentials = { clientId: 'demo-api', clientSecret: randomBytes(24).toString('base64url') }
  const config: Config = {
    ...base,
    logLevel: process.env.RESCIND_LOG_LEVEL ? base.logLevel : 'warn',
    clients: [
      ...base.clients,
      {
        client_id: DEMO_CLIENT,
        client_name: 'Notes (demonstration)',
        redirect_uris: [`${web}/callback`, `${web}/notes/callback`],
        token_endpoint_auth_method: 'none',
        firstParty: true,
      },
    ],
    resources: [
      {
        resource: api,
        name: 'Notes API',
        scopes: { 'notes:read': 'Read your notes' },
        client_id: credentials.clientId,
        client_secret: credentials.clientSecret,
      },
      ...base.resources,
    ],
  }
  const { issuer } = config
  const authority = await startAuthority(config)
  const { store } = authority.authority
  if (!(await store.read({ kind: 'account', email: DEMO_PERSON.email }))) {
    await addAccount(store, DEMO_PERSON, 'rescind', Date.now())
  }
  const runningApi = await startExampleApi({
    port: base.port + 1,
    issuer,
    audience: api,
    credentials,
    origins: [web],
  })
  const runningWeb = await startExampleWeb({
    port: base.port + 2,
    issuer,
    clientId: DEMO_CLIENT,
    api,
    resource: api,
  })
  return {
    authority,
    config,
    issuer,
    api,
    web,
    async close() {
      await Promise.all([runningWeb.close(), runningApi.close()])
      await authority.close()
    },
  }
}
