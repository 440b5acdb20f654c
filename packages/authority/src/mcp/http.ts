import type { IncomingMessage, ServerResponse } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { type AuthInfo, createMcpHandler } from '@modelcontextprotocol/server'
import { authenticate } from '../authenticate.ts'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { isJson, MAX_BODY, readBody } from '../http/body.ts'
import { sendJson } from '../http/respond.ts'
import type { Caller } from './caller.ts'
import { createToolServer, runTool } from './server.ts'

/**
 * `/mcp`: Streamable HTTP, stateless, both protocol eras. The tools are public; a token that is sent all the same
 * has to be live, or the request is refused with the way to a new one (RFC 9728 §5.1).
 */
export function createMcpEndpoint(authority: Authority) {
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const caller = authInfo?.extra?.caller as Caller
      return createToolServer((name, input) => runTool(authority, name, input, caller))
    },
    {
      maxRequestBodySize: MAX_BODY,
      onerror: (error) => authority.log.debug({ error: error.message }, 'mcp request refused'),
    },
  )
  const serve = toNodeHandler(handler)
  return {
    async endpoint(req: IncomingMessage, res: ServerResponse) {
      const { config } = authority
      const caller: Caller = { address: addressOf(req, config.trustProxy) }
      try {
        caller.claims = await authenticate(authority, req, `${config.issuer}/mcp`)
      } catch (error) {
        if (!(error instanceof RescindError) || error.code !== 'AUTHENTICATION_FAILED') throw error
        const metadata = `${config.issuer}/.well-known/oauth-protected-resource/mcp`
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
      // Parsed here, it need not go through a stream of the web first; what is no POST of JSON is refused over there.
      const known = Object.assign(req, { auth })
      if (req.method !== 'POST' || !isJson(req)) return serve(known, res)
      const body = parsed(await readBody(req))
      if (body === undefined) return sendJson(res, 400, PARSE_ERROR)
      await serve(known, res, body)
    },
    close: () => handler.close(),
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
