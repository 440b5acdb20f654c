import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { RescindError } from '../errors.ts'
import { createToolServer, errorResult, SERVER_INFO, type ToolResult } from './server.ts'

/**
 * The same tools over stdio, for a host that starts its servers as processes. Each call goes to a running
 * authority.
 * @param options.url the authority's address, such as https://login.example.com
 * @param options.accessToken what `whoami` is asked with
 */
export function serveTools(options: { url: string; accessToken?: string }) {
  const endpoint = new URL('/mcp', options.url)
  const headers: Record<string, string> = options.accessToken
    ? { authorization: `Bearer ${options.accessToken}` }
    : {}
  let connected: Promise<Client> | undefined

  async function connect(): Promise<Client> {
    const client = new Client(SERVER_INFO, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
    await client.connect(new StreamableHTTPClientTransport(endpoint, { requestInit: { headers } }))
    return client
  }

  async function call(name: string, input: unknown): Promise<ToolResult> {
    try {
      connected ??= connect()
      const client = await connected
      return (await client.callTool({ name, arguments: input as Record<string, unknown> })) as ToolResult
    } catch (error) {
      connected = undefined
      if ((error as { status?: number }).status === 401 || /\b401\b/.test(`${(error as Error).message}`)) {
        const message = 'The access token of this server is dead. Start it with a live one.'
        return errorResult(new RescindError('AUTHENTICATION_FAILED', message))
      }
      const message = `The authority at ${endpoint.origin} can't be reached. Start it, or set --url.`
      return errorResult(new RescindError('UNAVAILABLE', message, 1))
    }
  }
  return serveStdio(() => createToolServer(call))
}
