import type { EventEmitter } from 'node:events'
import type { ClientMetadata, Configuration, KoaContextWithOIDC } from 'oidc-provider'
import { adminResource } from '../administrators.ts'
import type { Authority, MountedProvider } from '../authority.ts'
import type { ResourceConfig } from '../config.ts'
import { lifetimesOf, longestToken } from '../domain/policy.ts'
import { loggedPath } from '../http/logged-path.ts'
import { PAGE_HEADERS } from '../http/respond.ts'
import { errorPage } from '../pages/error.ts'
import { confirmSignOutPage, signedOutPage, stayedPage } from '../pages/signed-out.ts'
import { PASSWORD_ACR } from './acr.ts'
import { createAdapter } from './adapter.ts'
import { commitUnit } from './commit.ts'
import { openFromCode } from './exchange.ts'
import { errors, Provider } from './library.ts'
import { loadGrant, promptPolicy } from './prompts.ts'
import { refreshGrant } from './refresh.ts'
import { GLOBAL_TOKEN_REVOCATION, ROUTES } from './routes.ts'
import { askBeforeSwitch } from './switch.ts'
import { inUnit, readInUnit } from './unit.ts'

const OIDC_SCOPES = ['openid', 'offline_access', 'profile', 'email']

/** Builds the library from the configuration and the keys of the moment; a key rotation builds it anew. */
export function mountProvider(authority: Authority): MountedProvider {
  const { config, log } = authority
  const firstParty = new Set(
    config.clients.filter((client) => client.firstParty).map((client) => client.client_id),
  )
  const provider = new Provider(config.issuer, configuration(authority, firstParty))
  // Every URL that the library builds is the issuer's, whatever a request claims its host is.
  provider.proxy = true
  provider.use(async (ctx, next) => {
    await inUnit(async (unit) => {
      await next()
      await askBeforeSwitch(authority, ctx as KoaContextWithOIDC)
      await commitUnit(authority, ctx as KoaContextWithOIDC, unit)
    })
  })
  Object.assign(provider.Client.prototype, { backchannelLogout: async () => {} })
  provider.registerGrantType('refresh_token', refreshGrant(authority), ['refresh_token', 'scope', 'resource'])
  provider.on('server_error', (ctx, error) => {
    log.error({ path: loggedPath(ctx.req), error: error.message, stack: error.stack }, 'protocol error')
  })
  const emitter: EventEmitter = provider
  emitter.on('error', (error: Error) =>
    log.error({ error: error.message, stack: error.stack }, 'protocol error'),
  )
  const callback = provider.callback()
  return {
    provider,
    handle: (req, res) => callback(req, res),
    find: (clientId) =>
      inUnit(async () => {
        try {
          return await provider.Client.find(clientId)
        } catch (error) {
          if (error instanceof errors.OIDCProviderError) return undefined
          throw error
        }
      }),
  }
}

function configuration(authority: Authority, firstParty: Set<string>): Configuration {
  const { config, seal, store, now } = authority
  const secure = config.issuer.startsWith('https:')
  const cookie = { httpOnly: true, sameSite: 'lax', secure, signed: true } as const
  return {
    adapter: createAdapter(store, seal, now),
    jwks: { keys: authority.ring().jwks },
    clients: [...config.clients.map(toMetadata), ...resourceServers(config.resources)],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
    clientDefaults: {
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'EdDSA',
    },
    enabledJWA: { idTokenSigningAlgValues: ['EdDSA'] },
    // `none` gives no code and no token: our own pages only want somebody to have signed in.
    responseTypes: ['code', 'none'],
    acrValues: [PASSWORD_ACR],
    allowOmittingSingleRegisteredRedirectUri: false,
    pkce: { required: () => true },
    routes: ROUTES,
    scopes: OIDC_SCOPES,
    claims: {
      openid: ['sub'],
      profile: ['name'],
      email: ['email', 'email_verified'],
      sid: null,
      auth_time: null,
    },
    ttl: lifetimes(longestToken(config.policy)),
    formats: { bitsOfOpaqueRandomness: 256, customizers: { jwt: openFromCode(authority) } },
    // Refresh tokens are ours: rotation, reuse and the end of the session are one transaction.
    issueRefreshToken: async () => false,
    expiresWithSession: async () => true,
    cookies: {
      keys: authority.ring().cookies,
      names: secure
        ? {
            session: '__Host-rescind',
            interaction: '__Secure-rescind-step',
            resume: '__Secure-rescind-resume',
          }
        : { session: 'rescind', interaction: 'rescind-step', resume: 'rescind-resume' },
      long: cookie,
      short: cookie,
    },
    features: features(authority),
    findAccount: (_ctx, sub) => findAccount(authority, sub),
    loadExistingGrant: (ctx) => loadGrant(authority, ctx, firstParty),
    interactions: {
      url: async (_ctx, interaction) => `/interaction/${interaction.uid}`,
      policy: promptPolicy(authority),
    },
    discovery: metadata(authority),
    clientBasedCORS: () => false,
    renderError: async (ctx, out) => {
      ctx.set(PAGE_HEADERS)
      ctx.type = 'html'
      ctx.body = await errorPage({
        issuerName: config.name,
        title: 'This sign-in can’t go on',
        message: `${out.error_description ?? 'The request was not valid.'}`,
        code: out.error,
      })
    },
  }
}

async function findAccount({ store }: Authority, sub: string) {
  const account = await readInUnit(store, { kind: 'account-by-sub', sub })
  if (!account) return undefined
  const { name, email } = account
  return { accountId: sub, claims: async () => ({ sub, name, email, email_verified: false }) }
}

/** What the metadata (RFC 8414) says beyond what the library knows of. */
function metadata({ config }: Authority): Configuration['discovery'] {
  return {
    revocation_endpoint: `${config.issuer}${ROUTES.revocation}`,
    introspection_endpoint: `${config.issuer}${ROUTES.introspection}`,
    userinfo_endpoint: `${config.issuer}${ROUTES.userinfo}`,
    ...logoutByProviders(config),
    status_list_aggregation_endpoint: `${config.issuer}/status-lists`,
    revocation_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    dpop_signing_alg_values_supported: ['ES256', 'EdDSA', 'Ed25519'],
    scopes_supported: [...OIDC_SCOPES, ...config.resources.flatMap((one) => Object.keys(one.scopes))],
    protected_resources: config.resources.map((one) => one.resource),
  }
}

/** Said only where somebody may call it. A signed JWT is sent as a bearer token (RFC 6750). */
function logoutByProviders({ issuer, identityProviders }: Authority['config']): Record<string, unknown> {
  const basic = identityProviders.some((one) => one.client_secret)
  const bearer = identityProviders.some((one) => one.jwks ?? one.jwks_uri)
  if (!basic && !bearer) return {}
  return {
    global_token_revocation_endpoint: `${issuer}${GLOBAL_TOKEN_REVOCATION}`,
    global_token_revocation_endpoint_auth_methods_supported: [
      ...(basic ? ['client_secret_basic'] : []),
      ...(bearer ? ['Bearer'] : []),
    ],
  }
}

function features(authority: Authority): Configuration['features'] {
  const { config } = authority
  const { name: issuerName } = config
  const byId = new Map(config.resources.map((resource) => [resource.resource, resource]))
  const configured = new Set(config.clients.map((client) => client.client_id))
  return {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    introspection: { enabled: false },
    revocation: { enabled: false },
    dPoP: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: async (ctx, form) => {
        ctx.set(PAGE_HEADERS)
        ctx.type = 'html'
        ctx.body = await confirmSignOutPage({ issuerName, form, host: new URL(config.issuer).host })
      },
      postLogoutSuccessSource: async (ctx) => {
        ctx.set(PAGE_HEADERS)
        ctx.type = 'html'
        // The library names a client here only when the person chose to stay.
        const { client } = ctx.oidc
        ctx.body = client
          ? await stayedPage({ issuerName, clientName: client.clientName ?? client.clientId })
          : await signedOutPage({ issuerName })
      },
    },
    // For the metadata alone: our outbox sends, also when a session ends elsewhere than in a browser.
    backchannelLogout: { enabled: true },
    registration: { enabled: config.registration.open },
    registrationManagement: { enabled: config.registration.open },
    clientIdMetadataDocument: {
      enabled: config.registration.open,
      ack: CIMD_ACK,
      allowClient: async (_ctx, client) => {
        authority.origins.add(client.redirectUris ?? [])
        return true
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (_ctx, _client, oneOf) =>
        (oneOf ? oneOf[0] : config.resources[0]?.resource) as string,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (ctx, indicator, client) => {
        const resource = byId.get(indicator)
        if (!resource) throw new errors.InvalidTarget('this authority issues no tokens for that resource')
        // A stranger's app must not get at it by being allowed to without much thought.
        if (indicator === adminResource(config.issuer) && !configured.has(client.clientId))
          throw new errors.InvalidTarget('only clients of the configuration get tokens for that resource')
        // A person is asked about one resource, so that is all that one sign-in can grant.
        if ([ctx.oidc.params?.resource].flat().length > 1) {
          throw new errors.InvalidTarget('ask for one resource at a time')
        }
        defaultScope(ctx, resource)
        return {
          scope: Object.keys(resource.scopes).join(' '),
          audience: indicator,
          accessTokenFormat: 'jwt',
          accessTokenTTL: lifetimesOf(config.policy, client.clientId).accessTokenTtl,
          jwt: { sign: { alg: 'EdDSA' } },
        }
      },
    },
  }
}

/** The draft of client ID metadata documents that we have read (the library wants to hear it). */
const CIMD_ACK = 'draft-02'

/** MCP clients often ask for no scope at all: they get what the resource offers, not a refusal. */
function defaultScope(ctx: KoaContextWithOIDC, resource: ResourceConfig) {
  const asked = ctx.oidc.route === 'authorization' || ctx.oidc.route === 'pushed_authorization_request'
  if (asked && ctx.oidc.params && ctx.oidc.params.scope === undefined) {
    ctx.oidc.params.scope = Object.keys(resource.scopes).join(' ')
  }
}

function lifetimes(accessTokenTtl: number): Configuration['ttl'] {
  return {
    AccessToken: accessTokenTtl,
    AuthorizationCode: 300,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 3600,
    Session: 14 * 86_400,
    RegistrationAccessToken: 365 * 86_400,
  }
}

function toMetadata(client: Authority['config']['clients'][number]): ClientMetadata {
  const {
    firstParty: _,
    accessTokenSeconds: __,
    idleSeconds: ___,
    absoluteSeconds: ____,
    ...metadata
  } = client
  return metadata as ClientMetadata
}

/** A guard authenticates as a client that can't sign anybody in; one client may guard several resources. */
function resourceServers(resources: ResourceConfig[]): ClientMetadata[] {
  const nothing = { redirect_uris: [], response_types: [], grant_types: [] }
  const clients = resources.flatMap(({ client_id, client_secret, name }) =>
    client_id && client_secret ? [{ client_id, client_secret, client_name: name, ...nothing }] : [],
  )
  return [...new Map(clients.map((client) => [client.client_id, client])).values()]
}
