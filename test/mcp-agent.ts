import assert from 'node:assert/strict'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { PERSON } from './setup.ts'

/* Agents on MCP clients that we did not write. */

export type Result = { content: unknown; structuredContent?: unknown; isError?: boolean }
export type Listed = {
  name: string
  title?: string
  description?: string
  inputSchema: { properties?: Record<string, object>; required?: string[]; additionalProperties?: boolean }
  outputSchema?: { properties?: Record<string, object>; required?: string[] }
  annotations?: Record<string, unknown>
}
export type Agent = {
  call(name: string, args?: Record<string, unknown>): Promise<Result>
  list(): Promise<Listed[]>
  close(): Promise<void>
}

type AnyClient = {
  callTool(parameters: { name: string; arguments: Record<string, unknown> }): Promise<unknown>
  listTools(): Promise<{ tools: unknown[] }>
  close(): Promise<void>
}

export function agentOf(client: AnyClient): Agent {
  return {
    call: async (name, args = {}) => (await client.callTool({ name, arguments: args })) as Result,
    list: async () => (await client.listTools()).tools as Listed[],
    close: () => client.close(),
  }
}

const withToken = (token: string | undefined) => ({
  requestInit: { headers: (token ? { authorization: `Bearer ${token}` } : {}) as Record<string, string> },
})

export function newClient(pin?: string): Client {
  const options = pin ? { versionNegotiation: { mode: { pin } } } : {}
  return new Client({ name: 'test', version: '1.0.0' }, options)
}

/** The clients of both protocol eras, and the older SDK. Each throws on an answer that its schema forbids. */
export const OVER_HTTP: Record<string, (issuer: string, token?: string) => Promise<Agent>> = {
  '2025-11-25': async (issuer, token) => {
    const client = newClient()
    await client.connect(new StreamableHTTPClientTransport(new URL(`${issuer}/mcp`), withToken(token)))
    return agentOf(client)
  },
  '2026-07-28': async (issuer, token) => {
    const client = newClient('2026-07-28')
    await client.connect(new StreamableHTTPClientTransport(new URL(`${issuer}/mcp`), withToken(token)))
    return agentOf(client)
  },
  'the older SDK': async (issuer, token) => {
    const client = new OlderClient({ name: 'test', version: '1.0.0' })
    await client.connect(new OlderTransport(new URL(`${issuer}/mcp`), withToken(token)) as never)
    return agentOf(client as AnyClient)
  },
}

const textOf = ({ content }: Result) => (content as { type: string; text: string }[])[0]?.text ?? ''

/** The structured answer of a call that went well. */
export function answerOf<T = Record<string, unknown>>(result: Result): T {
  assert.ok(!result.isError, textOf(result))
  assert.deepEqual(JSON.parse(textOf(result)), result.structuredContent)
  return result.structuredContent as T
}

/** What a call was refused with, after a look at its form: `{ error, code }` as text, and nothing else. */
export function refusalOf(result: Result): { error: string; code: string } {
  assert.equal(result.isError, true, textOf(result))
  assert.equal(result.structuredContent, undefined)
  assert.equal((result.content as unknown[]).length, 1)
  const refusal = JSON.parse(textOf(result)) as { error: string; code: string }
  assert.deepEqual(Object.keys(refusal), ['error', 'code'])
  assert.doesNotMatch(refusal.error, /Input validation|Invalid (arguments|input)|expected|zod|MCP|\n/i)
  return refusal
}

export type Flow = { authUrl: string; state: string; expiresIn: number }
export type Signed = {
  accessToken: string
  refreshToken: string
  logoutTicket: string
  session: { sid: string; sub: string; expiresAt: string }
}

/** A person signs in and allows; what the last page shows. */
export async function allow({ authUrl }: Flow): Promise<{ code: string; state: string; iss: string }> {
  const back = await signInThrough(
    createBrowser(),
    authUrl,
    PERSON,
    /\/oauth\/code\?|^https:\/\/app\.example\//,
  )
  const read = (name: string) => `${back.searchParams.get(name)}`
  return { code: read('code'), state: read('state'), iss: read('iss') }
}

/** Tokens through tools alone. */
export async function signInWith(agent: Agent, args: Record<string, unknown> = {}): Promise<Signed> {
  const flow = answerOf<Flow>(await agent.call('start_oauth_flow', args))
  return answerOf<Signed>(await agent.call('handle_oauth_callback', await allow(flow)))
}
