import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AuthInfo } from '@modelcontextprotocol/server'
import { authenticate } from '../authenticate.ts'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { isJson, readBody } from '../http/body.ts'
import { sendJson } from '../http/respond.ts'
import type { Caller } from './caller.ts'
import type { Handler } from './handler.ts'

/**
 * `/mcp`: Streamable HTTP, stateless, both protocol eras. The tools are public; a token that is sent all the same
 * has to be live, or the request is refused with the way to a new one (RFC 9728 §5.1).
 */
export function createMcpEndpoint(authority: Authority) {
  const { issuer, trustProxy } = authority.config
  const handler = onceLoaded(async () => (await import('./handler.ts')).createHandler(authority))
  return async (req: IncomingMessage, res: ServerResponse) => {
    const caller: Caller = { address: addressOf(req, trustProxy) }
    try {
      caller.claims = await authenticate(authority, req, `${issuer}/mcp`)
    } catch (error) {
      if (!(error instanceof RescindError) || error.code !== 'AUTHENTICATION_FAILED') throw error
      const metadata = `${issuer}/.well-known/oauth-protected-resource/mcp`
      return sendJson(res, 401, error, {
        'www-authenticate': `Bearer error="invalid_token", resource_metadata="${metadata}"`,
      })
    }
    const auth: AuthInfo = {
      token: '',
      clientId: caller.claims?.clientId ?? '',
      scopes: [],
      extra: { caller },
    }
    const known = Object.assign(req, { auth })
    // Parsed here, it need not go through a stream of the web first; what is no POST of JSON is refused over there.
    if (req.method !== 'POST' || !isJson(req)) return (await handler())(known, res)
    const body = parsed(await readBody(req))
    if (body === undefined) return sendJson(res, 400, PARSE_ERROR)
    await (await handler())(known, res, body)
  }
}

/** The SDK takes 10 MB, so it is loaded when the first comes who wants it; what failed to load is tried again. */
function onceLoaded(load: () => Promise<Handler>): () => Promise<Handler> {
  let loaded: Promise<Handler> | undefined
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined
      throw error
    })
    return loaded
  }
}

/** JSON-RPC 2.0 §5.1. */
const PARSE_ERROR = {
  jsonrpc: '2.0',
  error: { code: -32700, message: 'Parse error: the request body is not valid JSON' },
  id: null,
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
