import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { EXPOSED } from './cors.ts'
import { ROUTES } from './routes.ts'

/** What a client may say of itself when it registers, in bytes. */
const MAX_REGISTRATION = 8 * 1024

/** Where the protocol library answers, to the letter. */
const LIBRARY_PATHS =
  /^\/(oauth\/(authorize(\/[\w-]{1,64})?|token|jwks|par|register(\/[\w.~:%-]{1,512})?|logout(\/confirm|\/success)?)|\.well-known\/(openid-configuration|oauth-authorization-server))$/

/**
 * The library takes other spellings of its paths too; one is enough, and the budgets go by it.
 * @returns the pattern of a path of its; nothing for any other
 */
export function libraryRoute(path: string): string | undefined {
  if (!LIBRARY_PATHS.test(path)) return undefined
  return path
    .replace(/^(\/oauth\/authorize\/).*/, '$1{uid}')
    .replace(/^(\/oauth\/register\/).*/, '$1{client_id}')
}

/**
 * Hands a request to the protocol library, as far as the budget of its address goes.
 * @throws RescindError RATE_LIMITED, PAYLOAD_TOO_LARGE
 */
export async function toLibrary(authority: Authority, req: IncomingMessage, res: ServerResponse, url: URL) {
  const { limits, config } = authority
  const { pathname: path } = url
  const address = addressOf(req, config.trustProxy)
  req.url = path + url.search
  speakAsIssuer(req, new URL(config.issuer))
  // It leaves CORS alone where it sees that somebody decided already.
  res.setHeader('access-control-expose-headers', EXPOSED)
  if (path === ROUTES.registration && req.method === 'POST') {
    // Not under `> MAX`: a body without a length is refused as well.
    if (!(Number(req.headers['content-length']) <= MAX_REGISTRATION)) {
      throw new RescindError(
        'PAYLOAD_TOO_LARGE',
        `A registration may have at most ${MAX_REGISTRATION} bytes.`,
      )
    }
    limits.registration.spend(address)
  }
  if (path === ROUTES.authorization || path === ROUTES.pushed_authorization_request) {
    limits.authorization.spend(address)
  }
  if (path === ROUTES.token) limits.badToken.check(address)
  await authority.provider().handle(req, res)
  if (path === ROUTES.token && res.statusCode >= 400 && res.statusCode < 500) limits.badToken.charge(address)
}

/** The library builds its URLs from what the request says of itself, so the request says the issuer's. */
function speakAsIssuer(req: IncomingMessage, { host, protocol }: URL) {
  req.headers.host = host
  req.headers['x-forwarded-proto'] = protocol.slice(0, -1)
  delete req.headers['x-forwarded-host']
}
