import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from './authority.ts'
import { type ErrorCode, RescindError } from './errors.ts'
import { loggedPath } from './http/logged-path.ts'
import { asRescindError, sendError, sendHtml, sendJson } from './http/respond.ts'
import { OAuthError } from './oauth/client-auth.ts'
import { errorPage } from './pages/error.ts'

/* What a request gets that is not served: people a page, programs JSON. */

/** Of a method that an address does not take. */
export async function refuseMethod(
  { config }: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  methods: string[],
) {
  const allow = methods.join(', ')
  const error = { error: `Use ${methods.join(' or ')} here.`, code: 'VALIDATION_ERROR' }
  if (!wantsPage(req)) return sendJson(res, 405, error, { allow })
  // Somebody who comes back to where a form was sent.
  const message = 'There is no page at this address; a form was sent here.'
  sendHtml(res, 405, await errorPage({ issuerName: config.name, title: 'Nothing here', message }), { allow })
}

/** Of an address at which there is nothing. */
export async function notFound({ config }: Authority, req: IncomingMessage, res: ServerResponse) {
  const error = new RescindError('NOT_FOUND', 'There is nothing at this address.')
  if (!wantsPage(req)) return sendError(req, res, error)
  const page = { issuerName: config.name, title: 'Nothing here', message: error.message }
  sendHtml(res, 404, await errorPage(page))
}

/** Where people send forms. */
const FORMS = /^\/(interaction\/|forgot|reset|not-me|devices\/|signed-out\/|admin\/|oauth\/logout)/

function wantsPage(req: IncomingMessage): boolean {
  return (req.method === 'GET' || FORMS.test(req.url ?? '')) && /text\/html/.test(req.headers.accept ?? '')
}

/**
 * Answers what went wrong, as whoever asked reads it: a page, the JSON of OAuth, or ours.
 * @param id of the request, to be quoted and to be found in the log
 */
export async function fail(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
  id: string,
) {
  if (error instanceof OAuthError && !res.headersSent)
    return sendJson(res, error.status, error, error.headers)
  const shown = asRescindError(error)
  if (shown.code === 'INTERNAL') {
    const { message, stack } = error as Error
    authority.log.error({ path: loggedPath(req), error: message, stack }, 'request failed')
  }
  if (!wantsPage(req) || res.headersSent) {
    // OAuth clients read `error` as one of the RFC's words.
    const body = req.url?.startsWith('/oauth/') ? oauthBody(shown) : undefined
    return sendError(req, res, shown, body)
  }
  if (shown.retryAfter !== undefined) res.setHeader('retry-after', String(shown.retryAfter))
  if (!req.complete) res.setHeader('connection', 'close')
  const { message, code, status } = shown
  const page = { issuerName: authority.config.name, title: 'That did not work', message, code, requestId: id }
  sendHtml(res, status, await errorPage({ ...page, ...WAYS[code] }))
}

/** Where to go on after an error, if not to one’s devices. */
const WAYS: { [code in ErrorCode]?: { ways: [href: string, words: string][] } } = {
  EXPIRED_CODE: {
    ways: [
      ['/forgot', 'Ask for another link'],
      ['/devices', 'Your devices'],
    ],
  },
  ACCESS_DENIED: {
    ways: [
      ['/devices', 'Your devices'],
      ['/oauth/logout', 'Sign out, to come back as somebody else'],
    ],
  },
}

function oauthBody(error: RescindError) {
  const words: Partial<Record<RescindError['code'], string>> = {
    UNAVAILABLE: 'temporarily_unavailable',
    RATE_LIMITED: 'temporarily_unavailable',
    INTERNAL: 'server_error',
    AUTHENTICATION_FAILED: 'invalid_token',
  }
  return { error: words[error.code] ?? 'invalid_request', error_description: error.message, code: error.code }
}
