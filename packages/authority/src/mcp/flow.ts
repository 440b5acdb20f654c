import { createHash, randomBytes } from 'node:crypto'
import type { Authority } from '../authority.ts'
import { AGENT_CLIENT } from '../built-ins.ts'
import { hashSecret } from '../domain/secret.ts'
import { RescindError } from '../errors.ts'
import { REFUSALS } from '../oauth/refresh.ts'
import { ROUTES } from '../oauth/routes.ts'
import { inUnit } from '../oauth/unit.ts'
import { readOwnSecret } from '../revoke.ts'
import { selfRequest } from '../self.ts'
import type { Caller } from './caller.ts'

const FLOW_SECONDS = 30 * 60
const MODEL = 'Flow'

/** `expiresAt` in seconds. */
type Flow = { verifier: string; clientId: string; redirectUri: string; resource: string; expiresAt: number }

/**
 * `start_oauth_flow`: authorization code with PKCE (RFC 7636); the verifier stays here, sealed, for one use.
 * @throws RescindError VALIDATION_ERROR, RATE_LIMITED, UNAVAILABLE
 */
export async function startFlow(
  authority: Authority,
  input: { clientId?: string; redirectUri?: string; scope?: string; resource?: string },
  caller: Caller,
) {
  const { config, seal, store, limits, now } = authority
  limits.flows.spend(caller.address)
  const clientId = input.clientId ?? AGENT_CLIENT
  const client = await authority.provider().find(clientId)
  if (client?.clientAuthMethod !== 'none') {
    throw new RescindError(
      'VALIDATION_ERROR',
      '`clientId` must be a registered public client; or leave it out.',
    )
  }
  const redirectUri = input.redirectUri ?? client.redirectUris?.[0]
  if (!redirectUri || !client.redirectUriAllowed(redirectUri)) {
    throw new RescindError('VALIDATION_ERROR', '`redirectUri` must be one that the client registered.')
  }
  const resource = input.resource ?? `${config.issuer}/mcp`
  if (!config.resources.some((one) => one.resource === resource)) {
    throw new RescindError(
      'VALIDATION_ERROR',
      '`resource` must be one that this authority issues tokens for: those are under `resources` in its configuration.',
    )
  }
  const state = randomBytes(32).toString('base64url')
  const verifier = randomBytes(32).toString('base64url')
  const id = hashSecret(state)
  const expiresAt = Math.floor(now() / 1000) + FLOW_SECONDS
  const flow: Flow = { verifier, clientId, redirectUri, resource, expiresAt }
  const payload = seal.close(JSON.stringify(flow), `${MODEL}:${id}`)
  await store.transact({
    kind: 'write',
    records: [{ op: 'put', model: MODEL, id, payload, expiresAt }],
    audit: [],
    at: now(),
  })
  const authUrl = new URL(config.issuer + ROUTES.authorization)
  authUrl.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state,
    resource,
    ...(input.scope ? { scope: input.scope } : {}),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString()
  return {
    success: true as const,
    authUrl: authUrl.href,
    state,
    instructions:
      'Open authUrl in a browser and sign in. Then call handle_oauth_callback with the code and the state that ' +
      'the last page shows (or that your redirect URI receives).',
    expiresIn: FLOW_SECONDS,
  }
}

/**
 * `handle_oauth_callback`: exchanges the code. The state works once, whatever comes of it.
 * @throws RescindError INVALID_STATE, INVALID_GRANT, ACCESS_DENIED, EXPIRED_CODE, UNAVAILABLE
 */
export async function finishFlow(
  authority: Authority,
  input: { code: string; state: string; iss?: string },
  caller: Caller,
) {
  const { config } = authority
  if (input.iss !== undefined && input.iss !== config.issuer) {
    throw new RescindError(
      'INVALID_STATE',
      'The iss is not this authority: the answer came from somebody else.',
    )
  }
  const flow = await takeFlow(authority, input.state)
  if (input.code === 'access_denied') {
    throw new RescindError('ACCESS_DENIED', 'The person did not allow it. Start again if they want to.')
  }
  await refuseExpired(authority, input.code)
  const answer = await selfRequest(authority, caller.address, {
    method: 'POST',
    url: ROUTES.token,
    form: {
      grant_type: 'authorization_code',
      code: input.code,
      client_id: flow.clientId,
      redirect_uri: flow.redirectUri,
      code_verifier: flow.verifier,
      resource: flow.resource,
    },
  })
  if (answer.status === 503)
    throw new RescindError('UNAVAILABLE', 'The sign-in could not be made durable. Try again.', 1)
  if (answer.status !== 200) {
    throw new RescindError(
      'INVALID_GRANT',
      'The code is not valid for this sign-in, or was used. Start again.',
    )
  }
  const tokens = answer.body as Record<string, string>
  const accessToken = tokens.access_token as string
  const claims = await authority.verifier.verify(accessToken)
  const { policy } = config
  return {
    success: true as const,
    accessToken,
    ...(tokens.refresh_token ? { refreshToken: tokens.refresh_token } : {}),
    logoutTicket: tokens.logout_ticket as string,
    expiresIn: Number(tokens.expires_in),
    session: {
      sid: claims.sid,
      sub: claims.sub,
      expiresAt: new Date(authority.now() + policy.sessionAbsolute).toISOString(),
    },
    message: 'Signed in. Call revoke_oauth_tokens with both tokens to log out.',
  }
}

async function takeFlow({ store, seal, now }: Authority, state: string): Promise<Flow> {
  const id = hashSecret(state)
  const stored = await store.read({ kind: 'record', model: MODEL, id })
  const taken =
    stored &&
    (await store.transact({
      kind: 'write',
      records: [{ op: 'consume', model: MODEL, id, at: now() }],
      audit: [],
      at: now(),
    }))
  const flow = stored && (JSON.parse(seal.open(stored.payload, `${MODEL}:${id}`)) as Flow)
  if (!flow || taken?.kind !== 'written' || flow.expiresAt * 1000 <= now()) {
    throw new RescindError(
      'INVALID_STATE',
      'The state is unknown, used or expired. Start again with start_oauth_flow.',
    )
  }
  return flow
}

/** The token endpoint says only that a code is not valid; a person wants to know that they were too slow. */
async function refuseExpired(authority: Authority, code: string) {
  const { provider } = authority.provider()
  const found = await inUnit(() => provider.AuthorizationCode.find(code, { ignoreExpiration: true }))
  const expired = (found?.exp ?? Infinity) * 1000 <= authority.now()
  if (expired && !(found as { consumed?: unknown }).consumed) {
    throw new RescindError('EXPIRED_CODE', 'The code has expired. Start again with start_oauth_flow.')
  }
}

/**
 * `refresh_oauth_tokens`, for sessions of public clients: a client with a secret refreshes for itself.
 * @throws RescindError INVALID_GRANT, EXPIRED_TOKEN, TOKEN_REVOKED, UNAVAILABLE
 */
export async function refreshTokens(authority: Authority, input: { refreshToken: string }, caller: Caller) {
  const parts = readOwnSecret(authority, input.refreshToken)
  const session =
    parts?.kind === 'refresh_token'
      ? await authority.store.read({ kind: 'session', sid: parts.sid })
      : undefined
  if (!session) throw new RescindError('INVALID_GRANT', 'Invalid refresh token')
  const answer = await selfRequest(authority, caller.address, {
    method: 'POST',
    url: ROUTES.token,
    form: { grant_type: 'refresh_token', refresh_token: input.refreshToken, client_id: session.clientId },
  })
  const body = answer.body as Record<string, string>
  if (answer.status === 503)
    throw new RescindError('UNAVAILABLE', 'The refresh could not be made durable. Try again.', 1)
  if (answer.status !== 200) throw refusalOf(body)
  return {
    success: true as const,
    accessToken: body.access_token as string,
    refreshToken: body.refresh_token as string,
    expiresIn: Number(body.expires_in),
  }
}

function refusalOf(body: Record<string, string>): RescindError {
  switch (body.error_description) {
    case REFUSALS.ended:
    case REFUSALS.revoked:
    case REFUSALS.reused:
      return new RescindError('TOKEN_REVOKED', 'Token has already been revoked')
    case REFUSALS.expired:
      return new RescindError('EXPIRED_TOKEN', 'The refresh token has expired. Sign in again.')
    default:
      return new RescindError('INVALID_GRANT', 'The refresh token can’t be used here. Sign in again.')
  }
}
