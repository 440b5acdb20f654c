import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler } from '@modelcontextprotocol/server'
import type { Authority } from '../authority.ts'
import { MAX_BODY } from '../http/body.ts'
import type { Caller } from './caller.ts'
import { createToolServer, runTool } from './server.ts'

export type Handler = ReturnType<typeof toNodeHandler>

/** The SDK’s side of `/mcp`: who calls comes with the request, as `auth.extra.caller`. */
export function createHandler(authority: Authority): Handler {
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
  return toNodeHandler(handler)
}
