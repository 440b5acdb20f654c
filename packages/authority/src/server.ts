import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { emailEndpoint, passwordEndpoint } from './account-endpoints.ts'
import { adminRoute } from './admin-endpoints.ts'
import type { Authority, Origins } from './authority.ts'
import { consoleRoute } from './console/console.ts'
import { liveAssets } from './console/live.ts'
import { devicesEndpoint, endDeviceEndpoint, othersEndpoint, renameDeviceEndpoint } from './devices-page.ts'
import { endedNotMeEndpoint, endedPageEndpoint, endedSignInEndpoint } from './ended-page.ts'
import { RescindError } from './errors.ts'
import { LIST_TTL } from './feed/status-list.ts'
import { declaredTooLong, tooLarge } from './http/body.ts'
import { inRequest, type RequestContext, requestId } from './http/context.ts'
import { sendHtml, sendJson } from './http/respond.ts'
import { forgotEndpoint, notMeEndpoint, resetEndpoint } from './mailed-links.ts'
import { createMcpEndpoint } from './mcp/http.ts'
import { cors } from './oauth/cors.ts'
import { createGlobalTokenRevocation } from './oauth/global-token-revocation.ts'
import { interactionEndpoint } from './oauth/interaction.ts'
import { introspectionEndpoint } from './oauth/introspect.ts'
import { revocationEndpoint } from './oauth/revoke.ts'
import { CODE_PATH, GLOBAL_TOKEN_REVOCATION, ROUTES } from './oauth/routes.ts'
import { libraryRoute, toLibrary } from './oauth/to-library.ts'
import { userinfoEndpoint } from './oauth/userinfo.ts'
import { ownRoute } from './own-endpoints.ts'
import { codePage } from './pages/code.ts'
import { homePage } from './pages/home.ts'
import { logo } from './pages/logo.ts'
import { stylesheet } from './pages/styles.ts'
import { fail, notFound, refuseMethod } from './refusals.ts'
import { watchRequest } from './request-log.ts'
import { revokeEndpoint, sessionEndpoint } from './v1.ts'
import { endedEndpoint } from './why-ended.ts'

const METADATA = '/.well-known/oauth-protected-resource'

type Endpoint = (req: IncomingMessage, res: ServerResponse, url: URL) => Promise<void> | void
type Route = { methods: string[]; serve: Endpoint }

/** The request listener of an authority: one table of paths, and the protocol library behind it. */
export function createListener(authority: Authority): RequestListener {
  const routes = createRoutes(authority)
  const { origins, health } = authority
  const { issuer, trustProxy } = authority.config
  const addresses = new Map([...routes.keys()].map((path) => [path, new URL(path, issuer)]))
  const { host } = new URL(issuer)

  async function serve(req: IncomingMessage, res: ServerResponse, context: RequestContext) {
    if (declaredTooLong(req)) throw tooLarge()
    if (!trustProxy && !ownHost(req.headers.host, host)) {
      throw new RescindError('NOT_FOUND', `This server answers for ${host} only.`)
    }
    // A path of ours that is written as it is needs no parsing.
    const url = addresses.get(`${req.url}`) ?? URL.parse(req.url ?? '/', issuer)
    if (!url || url.origin !== issuer)
      throw new RescindError('VALIDATION_ERROR', 'The request target is not valid.')
    const { origin } = req.headers
    if (origin !== undefined && origin !== issuer && !origins.has(origin)) await authority.clientsCaughtUp()
    if (cors(origins, req, res)) return
    if (url.pathname === '/mcp') refuseForeignOrigin(req, issuer, origins)
    const { pathname } = url
    const exact = routes.get(pathname)
    const route = exact
      ? { pattern: pathname, ...exact }
      : pathname.startsWith('/oauth/')
        ? undefined
        : (ownRoute(authority, pathname) ??
          adminRoute(authority, pathname) ??
          consoleRoute(authority, pathname) ??
          metadataRoute(authority, pathname))
    if (route) {
      context.route = route.pattern
      if (!route.methods.includes(req.method ?? '')) return refuseMethod(authority, req, res, route.methods)
      return route.serve(req, res, url)
    }
    const list = /^\/status-lists\/(\d{1,9})$/.exec(url.pathname)?.[1]
    if (list && /^(GET|HEAD)$/.test(`${req.method}`)) {
      context.route = '/status-lists/{list}'
      return sendStatusList(authority, req, res, url, Number(list))
    }
    const step = /^\/interaction\/([\w-]{1,64})(?:\/(login|consent|cancel))?$/.exec(url.pathname)
    if (step && (req.method === 'GET' ? !step[2] : req.method === 'POST' && step[2])) {
      context.route = `/interaction/{uid}${step[2] ? `/${step[2]}` : ''}`
      return interactionEndpoint(authority, req, res, step.slice(1))
    }
    context.route = libraryRoute(pathname)
    if (context.route) return toLibrary(authority, req, res, url)
    await notFound(authority, req, res)
  }

  return (req, res) => {
    if (health.answer(req, res)) return
    const id = requestId(req, trustProxy)
    const context: RequestContext = { id }
    watchRequest(authority, req, res, context)
    res.setHeader('x-request-id', id)
    res.setHeader('x-content-type-options', 'nosniff')
    inRequest(context, () =>
      serve(req, res, context)
        .catch((error: unknown) => fail(authority, req, res, error, id))
        .catch(() => res.destroy()),
    )
  }
}

function createRoutes(authority: Authority): Map<string, Route> {
  const { issuer, name: issuerName } = authority.config
  const mcp = createMcpEndpoint(authority)
  const post = (serve: Endpoint): Route => ({ methods: ['POST'], serve })
  const get = (serve: Endpoint): Route => ({ methods: ['GET', 'HEAD'], serve })
  const page = (serve: typeof forgotEndpoint): Route => ({
    methods: ['GET', 'HEAD', 'POST'],
    serve: (req, res, url) => serve(authority, req, res, url),
  })
  const asset = (type: string, text: string) =>
    get((_req, res) => {
      res.writeHead(200, { 'content-type': type, 'cache-control': 'public, max-age=300' }).end(text)
    })
  const routes = new Map<string, Route>([
    ['/v1/revoke', post((req, res) => revokeEndpoint(authority, req, res))],
    ['/v1/session', get((req, res) => sessionEndpoint(authority, req, res))],
    ['/v1/account/password', post((req, res) => passwordEndpoint(authority, req, res))],
    ['/v1/account/email', post((req, res) => emailEndpoint(authority, req, res))],
    ['/v1/events', { methods: ['GET'], serve: (req, res) => authority.events.endpoint(req, res) }],
    [ROUTES.revocation, post((req, res) => revocationEndpoint(authority, req, res))],
    [GLOBAL_TOKEN_REVOCATION, post(createGlobalTokenRevocation(authority))],
    [ROUTES.introspection, post((req, res) => introspectionEndpoint(authority, req, res))],
    [
      ROUTES.userinfo,
      { methods: ['GET', 'POST'], serve: (req, res) => userinfoEndpoint(authority, req, res) },
    ],
    ['/forgot', page(forgotEndpoint)],
    ['/reset', page(resetEndpoint)],
    ['/not-me', page(notMeEndpoint)],
    ['/v1/ended', post((req, res) => endedEndpoint(authority, req, res))],
    ['/signed-out', get((req, res, url) => endedPageEndpoint(authority, req, res, url))],
    ['/signed-out/sign-in', get((req, res, url) => endedSignInEndpoint(authority, req, res, url))],
    ['/signed-out/not-me', post((req, res, url) => endedNotMeEndpoint(authority, req, res, url))],
    ['/devices', get((req, res, url) => devicesEndpoint(authority, req, res, url))],
    ['/devices/end', post((req, res, url) => endDeviceEndpoint(authority, req, res, url))],
    ['/devices/others', page(othersEndpoint)],
    ['/devices/rename', post((req, res, url) => renameDeviceEndpoint(authority, req, res, url))],
    ['/status-lists', get((_req, res) => sendAggregation(authority, res))],
    ['/feed', get((_req, res) => upgradeRequired(res))],
    ['/mcp', { methods: ['POST', 'GET', 'DELETE'], serve: mcp }],
    [
      CODE_PATH,
      get(async (_req, res, url) =>
        sendHtml(res, 200, await codePage({ issuerName, ...codeParameters(url) })),
      ),
    ],
    [
      '/',
      get(async (_req, res) =>
        sendHtml(res, 200, await homePage({ issuerName, issuer, mcpUrl: `${issuer}/mcp`, docs: [] })),
      ),
    ],
    ['/assets/rescind.css', asset('text/css; charset=utf-8', stylesheet)],
    ['/assets/rescind.svg', asset('image/svg+xml', logo)],
  ])
  for (const [path, { type, text }] of liveAssets()) routes.set(path, asset(type, text))
  return routes
}

/** What says of our own resources where their tokens come from (RFC 9728); the configuration may change while we run. */
function metadataRoute({ config: { issuer, resources } }: Authority, asked: string) {
  if (!asked.startsWith(METADATA)) return undefined
  for (const { resource, name, scopes } of resources) {
    const { origin, pathname } = new URL(resource)
    if (origin !== issuer) continue
    if (asked !== METADATA + (pathname === '/' ? '' : pathname)) continue
    const metadata = {
      resource,
      resource_name: name,
      authorization_servers: [issuer],
      scopes_supported: Object.keys(scopes),
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: ['ES256', 'EdDSA', 'Ed25519'],
    }
    const serve: Endpoint = (_req, res) => sendJson(res, 200, metadata)
    return { pattern: asked, methods: ['GET', 'HEAD'], serve }
  }
  return undefined
}

/** One status list, for whoever asks: it says which places are dead, not whose they are. */
async function sendStatusList(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  list: number,
) {
  // Lists of the past are not kept (draft-ietf-oauth-status-list §8.4).
  if (url.searchParams.has('time')) {
    return sendJson(res, 501, { error: 'Only the current list is served.', code: 'VALIDATION_ERROR' })
  }
  // Who reads it believes it for minutes: what can’t be made from all that was revoked is not made.
  await authority.store.caughtUp()
  const jwt = await authority.statusLists.sign(list)
  if (jwt === undefined) return notFound(authority, req, res)
  res.writeHead(200, {
    'content-type': 'application/statuslist+jwt',
    'content-length': Buffer.byteLength(jwt),
    'cache-control': `public, max-age=${LIST_TTL}`,
    'access-control-allow-origin': '*',
  })
  res.end(jwt)
}

/** Where the status lists are (§9.3). */
async function sendAggregation({ statusLists, store }: Authority, res: ServerResponse) {
  await store.caughtUp()
  const headers = { 'cache-control': `public, max-age=${LIST_TTL}`, 'access-control-allow-origin': '*' }
  sendJson(res, 200, statusLists.aggregation(), headers)
}

function upgradeRequired(res: ServerResponse) {
  const error = { error: 'The feed is a WebSocket; see docs/feed.md.', code: 'VALIDATION_ERROR' }
  sendJson(res, 426, error, { upgrade: 'websocket', connection: 'upgrade' })
}

function codeParameters({ searchParams }: URL) {
  const read = (name: string) => searchParams.get(name)?.slice(0, 2000)
  return {
    code: read('code'),
    state: read('state'),
    iss: read('iss'),
    error: read('error'),
    errorDescription: read('error_description'),
  }
}

/** A page of another site that had its own name point at this machine is not to reach us under that name. */
function ownHost(given: string | undefined, own: string): boolean {
  if (given === own) return true
  const hostname = URL.parse(`http://${given}`)?.hostname
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
}

/** MCP over HTTP has to check who sends from a browser (spec 2025-11-25, Streamable HTTP, security). */
function refuseForeignOrigin(req: IncomingMessage, issuer: string, origins: Origins) {
  const { origin } = req.headers
  if (origin !== undefined && origin !== issuer && !origins.has(origin)) {
    throw new RescindError('ACCESS_DENIED', 'This origin belongs to no registered client.')
  }
}
