import { z } from 'zod'
import type { Authority } from '../authority.ts'
import { MAX_TOKEN, revokeTokens } from '../revoke.ts'
import { revokeInput } from '../v1.ts'
import type { Caller } from './caller.ts'
import { finishFlow, refreshTokens, startFlow } from './flow.ts'
import { listTool, revokeOneTool, revokeOthersTool } from './own.ts'
import { verifyRevocation, whoami } from './verify.ts'

export type Tool = {
  name: string
  title: string
  description: string
  input: z.ZodObject
  output: z.ZodObject
  annotations: {
    readOnlyHint: boolean
    destructiveHint: boolean
    idempotentHint: boolean
    openWorldHint: boolean
  }
  run(authority: Authority, input: never, caller: Caller): Promise<Record<string, unknown>>
}

const accessToken = z.string().min(1).max(MAX_TOKEN).describe('The access token, exactly as it was issued')
const uri = z.string().min(1).max(2000)

function tool<I extends z.ZodObject, O extends z.ZodObject>(definition: {
  name: string
  title: string
  description: string
  input: I
  output: O
  annotations: Partial<Tool['annotations']>
  run(authority: Authority, input: z.infer<I>, caller: Caller): Promise<z.infer<O>>
}): Tool {
  const cautious = {
    readOnlyHint: false,
    destructiveHint: false,
    idempotentHint: false,
    openWorldHint: false,
  }
  const { run, annotations, ...rest } = definition
  return { ...rest, annotations: { ...cautious, ...annotations }, run: run as Tool['run'] }
}

const tokensOutput = {
  success: z.literal(true),
  accessToken: z.string(),
  refreshToken: z.string(),
  expiresIn: z.number().int().describe('Seconds until the access token expires'),
}

const listedSession = z.object({
  sid: z.string(),
  current: z.boolean().describe('Whether it is the session of this request'),
  client: z.object({ id: z.string(), name: z.string() }),
  device: z.object({ id: z.string(), name: z.string(), kind: z.string() }).optional(),
  openedAt: z.string(),
  lastSeen: z.string(),
  address: z.string(),
  place: z.string(),
  scope: z.string(),
  endedAt: z.string().optional(),
  reason: z.string().optional(),
})

/**
 * The tools of the MCP endpoint. What the first five are given is the proof; the others are for whoever sends a live token
 * with the request.
 */
export const TOOLS: Tool[] = [
  tool({
    name: 'start_oauth_flow',
    title: 'Start signing in',
    description:
      'Starts an OAuth sign-in. Show `authUrl` to the person; when they have signed in, pass the code and state ' +
      'that they get to `handle_oauth_callback`.',
    input: z.strictObject({
      clientId: uri.optional().describe('A registered public client; leave out to use the built-in one'),
      redirectUri: uri.optional().describe('One of the client’s registered redirect URIs'),
      scope: z
        .string()
        .min(1)
        .max(1000)
        .optional()
        .describe('Space separated; leave out for all that is offered'),
      resource: uri.optional().describe('The API that the tokens are for (RFC 8707)'),
    }),
    output: z.object({
      success: z.literal(true),
      authUrl: z.string(),
      state: z.string(),
      instructions: z.string(),
      expiresIn: z.number().int().describe('Seconds within which the sign-in has to be finished'),
    }),
    annotations: {},
    run: startFlow,
  }),
  tool({
    name: 'handle_oauth_callback',
    title: 'Finish signing in',
    description: 'Exchanges the code of a sign-in that `start_oauth_flow` began for tokens. Works once.',
    input: z.strictObject({
      code: z
        .string()
        .min(1)
        .max(MAX_TOKEN)
        .describe('The code from the redirect, or its error, such as access_denied'),
      state: z.string().min(1).max(200).describe('The state from the redirect'),
      iss: uri.optional().describe('The iss from the redirect (RFC 9207)'),
    }),
    output: z.object({
      ...tokensOutput,
      refreshToken: z.string().optional().describe('Absent where the client may not refresh'),
      logoutTicket: z
        .string()
        .describe('Can do one thing: end this session. Keep it for a logout while offline'),
      session: z.object({ sid: z.string(), sub: z.string(), expiresAt: z.string() }),
      message: z.string(),
    }),
    annotations: {},
    run: finishFlow,
  }),
  tool({
    name: 'refresh_oauth_tokens',
    title: 'Refresh the tokens',
    description:
      'Exchanges a refresh token for a new access token and the next refresh token. The old one is used up.',
    input: z.strictObject({
      refreshToken: z.string().min(1).max(MAX_TOKEN).describe('The newest refresh token'),
    }),
    output: z.object(tokensOutput),
    annotations: {},
    run: refreshTokens,
  }),
  tool({
    name: 'revoke_oauth_tokens',
    title: 'Log out',
    description:
      'Revokes an access token and, with its refresh token, ends the session everywhere at once: every API refuses ' +
      'it, open connections close. The answer comes when the revocation is durable.',
    input: revokeInput,
    output: z.object({ success: z.literal(true), message: z.string() }),
    annotations: { destructiveHint: true, idempotentHint: true },
    run: (authority, input, caller) => revokeTokens(authority, input, caller.address),
  }),
  tool({
    name: 'verify_oauth_revocation',
    title: 'Check that a token is dead',
    description: 'Tries an access token for real and says whether it has been revoked.',
    input: z.strictObject({ accessToken }),
    output: z.object({ revoked: z.boolean(), message: z.string() }),
    annotations: { readOnlyHint: true, idempotentHint: true },
    run: verifyRevocation,
  }),
  tool({
    name: 'whoami',
    title: 'Who am I',
    description: 'Says whose session the bearer token of this request is. Needs a live token.',
    input: z.strictObject({}),
    output: z.object({
      sub: z.string(),
      email: z.string(),
      name: z.string(),
      sid: z.string(),
      clientId: z.string(),
      scope: z.string(),
      expiresAt: z.string(),
    }),
    annotations: { readOnlyHint: true, idempotentHint: true },
    run: whoami,
  }),
  tool({
    name: 'list_oauth_sessions',
    title: 'What is signed in',
    description:
      'Lists the sessions of the account that the bearer token of this request is of, in every app and on every ' +
      'device: live ones first, then those that ended in the last 30 days. Needs a live token.',
    input: z.strictObject({}),
    output: z.object({ sessions: z.array(listedSession) }),
    annotations: { readOnlyHint: true, idempotentHint: true },
    run: listTool,
  }),
  tool({
    name: 'revoke_oauth_session',
    title: 'End one session',
    description:
      'Ends one session of the account that the bearer token of this request is of, by its `sid` from ' +
      '`list_oauth_sessions`. Needs a live token.',
    input: z.strictObject({
      sid: z.string().min(1).max(64).describe('The `sid` of the session, from list_oauth_sessions'),
    }),
    output: z.object({ success: z.literal(true), message: z.string() }),
    annotations: { destructiveHint: true, idempotentHint: true },
    run: revokeOneTool,
  }),
  tool({
    name: 'revoke_other_oauth_sessions',
    title: 'End all other sessions',
    description:
      'Ends every session of the account but the one that the bearer token of this request is of, and signs its ' +
      'other browsers out. Needs a live token.',
    input: z.strictObject({}),
    output: z.object({
      success: z.literal(true),
      ended: z.number().int().describe('How many sessions have ended'),
      message: z.string(),
    }),
    annotations: { destructiveHint: true, idempotentHint: true },
    run: revokeOthersTool,
  }),
]
