import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Place } from './peer-list.ts'
import { type Pair, type PeerServer, startPeer } from './peer-process.ts'

/* What a peer does not do, in words; each sentence is written because a request has just shown it. */

const ROUNDS = 20
const AT_ONCE = 8

/** Whether the peer calls a token live. */
export async function isActive(server: PeerServer, token: string): Promise<boolean> {
  if (server.peer.asks.introspectAny === undefined) return (await server.send('check', token)).status === 200
  const { status, body } = await server.send('introspectAny', token)
  if (status !== 200) throw new Error(`${server.peer.name}: introspection answered ${status}: ${body}`)
  return JSON.parse(body).active === true
}

/** @throws Error when one of these is not refused, or one of those is */
export async function checkTokens(server: PeerServer, dead: string[], live: string[]): Promise<void> {
  if ((await activeOf(server, dead)) > 0) throw new Error('a token is called live and is not')
  if ((await activeOf(server, live)) < live.length) throw new Error('a token is called dead and is not')
}

async function activeOf(server: PeerServer, tokens: string[]): Promise<number> {
  let count = 0
  for (const token of tokens) if (await isActive(server, token)) count++
  return count
}

/** A JWT access token after all that can be revoked of it has been. */
async function jwtLives(server: PeerServer, jwks: string): Promise<string[]> {
  const [pair] = await server.issue(1, true)
  const got = await server.send('refresh', `${pair?.refreshToken}`, '&resource=https%3A%2F%2Fapi.example')
  const { access_token, refresh_token } = JSON.parse(got.body)
  const refused = await server.send('revokeAny', access_token)
  await checkRevoked(server, refresh_token)
  const keys = createLocalJWKSet(JSON.parse((await server.get(jwks)).body))
  const lives = await jwtVerify(access_token, keys, { audience: 'https://api.example' }).then(
    () => true,
    () => false,
  )
  const { status, body } = await server.send('introspectAny', access_token)
  const found: string[] = []
  if (refused.status === 400 && refused.body.includes('unsupported_token_type'))
    found.push('a JWT access token can’t be revoked: the answer is 400 unsupported_token_type')
  if (lives)
    found.push('a JWT access token still verifies after it and its refresh token were sent to be revoked')
  if (status !== 200) found.push(`a JWT access token can’t be introspected: the answer is ${status}`)
  else if (JSON.parse(body).active) found.push('introspection calls that JWT access token active, still')
  return found
}

async function checkRevoked(server: PeerServer, refreshToken: string): Promise<void> {
  const { status, body } = await server.send('revoke', refreshToken)
  if (status !== 200) throw new Error(`${server.peer.name}: revocation answered ${status}: ${body}`)
}

function pairsOf(answers: { status: number; body: string }[]): Pair[] {
  return answers
    .filter(({ status }) => status === 200)
    .map(({ body }) => JSON.parse(body))
    .map(({ access_token, refresh_token }) => ({ accessToken: access_token, refreshToken: refresh_token }))
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** The same refresh token several times at once. */
async function usedTwice(server: PeerServer): Promise<string[]> {
  let several = 0
  let none = 0
  for (let round = 0; round < ROUNDS; round++) {
    const [pair] = await server.issue(1)
    const uses = Array.from({ length: AT_ONCE }, () => server.send('refresh', `${pair?.refreshToken}`))
    const successors = pairsOf(await Promise.all(uses))
    const live = await activeOf(
      server,
      successors.map(({ refreshToken }) => `${refreshToken}`),
    )
    if (live > 1) several++
    if (live === 0) none++
  }
  const found: string[] = []
  const used = `one refresh token, used ${AT_ONCE} times at once,`
  if (several > 0) found.push(`${used} had several live successors in ${several} of ${ROUNDS} rounds`)
  if (none > 0) found.push(`${used} had no live successor in ${none} of ${ROUNDS} rounds`)
  return found
}

/** A revocation in the middle of a refresh. */
async function besideRefresh(server: PeerServer): Promise<string[]> {
  let survived = 0
  let failed = 0
  for (let round = 0; round < ROUNDS; round++) {
    const [pair] = await server.issue(1)
    const refreshed = server.send('refresh', `${pair?.refreshToken}`)
    // Now here, now there in the middle of it.
    if (round % 4 > 0) await pause(round % 4)
    const revoked = await server.send('revoke', `${pair?.refreshToken}`)
    if ((await refreshed).status >= 500) failed++
    const [tokens] = pairsOf([await refreshed])
    const { accessToken, refreshToken } = tokens ?? {}
    const live = tokens ? await activeOf(server, [`${accessToken}`, `${refreshToken}`]) : 0
    if (revoked.status === 200 && live > 0) survived++
  }
  const found: string[] = []
  const beside = 'a revocation beside a refresh'
  if (survived > 0)
    found.push(`${beside} was answered 200 and left a live token in ${survived} of ${ROUNDS} rounds`)
  if (failed > 0) found.push(`${beside} made the refresh fail with a 5xx in ${failed} of ${ROUNDS} rounds`)
  return found
}

async function unknown(server: PeerServer): Promise<string[]> {
  const { status } = await server.send('revokeAny', 'never-was-a-token')
  return status === 200
    ? ['a token that never was is revoked with 200 as well, as RFC 7009 has it: the answer is no receipt']
    : []
}

export async function oidcLacks(server: PeerServer): Promise<string[]> {
  return [
    ...(await jwtLives(server, '/jwks')),
    ...(await usedTwice(server)),
    ...(await besideRefresh(server)),
    ...(await unknown(server)),
  ]
}

export async function betterAuthLacks(server: PeerServer): Promise<string[]> {
  const found = [
    ...(await jwtLives(server, '/api/auth/jwks')),
    ...(await usedTwice(server)),
    ...(await besideRefresh(server)),
  ]
  const refreshTokens = (await server.issue(10)).map(({ refreshToken }) => `${refreshToken}`)
  for (const token of refreshTokens) await checkRevoked(server, token)
  const signedIn = await server.ask<number>({ do: 'signedIn', refreshTokens })
  if (signedIn > 0)
    found.push(
      `when all tokens of a sign-in are revoked, it lives on: ${signedIn} of ${refreshTokens.length} sessions`,
    )
  return [...found, ...(await unknown(server))]
}

/** A second process with the same tokens, when the first has revoked them. */
export async function oauth2ServerLacks(server: PeerServer): Promise<string[]> {
  const other = await startPeer(server.peer, {})
  try {
    const accessTokens = (await server.issue(20)).map(({ accessToken }) => accessToken)
    await other.ask({ do: 'copy', accessTokens })
    await server.ask({ do: 'revoke', accessTokens })
    await checkTokens(server, accessTokens, [])
    const accepted = await activeOf(other, accessTokens)
    const endpoints = await server.ask<string[]>({ do: 'endpoints' })
    const found = [
      `a second process is told nothing: it goes on accepting ${accepted} of ${accessTokens.length} tokens that the first has revoked`,
    ]
    if (endpoints.length === 0)
      found.push('it has neither a revocation nor an introspection endpoint: who ends a token writes that')
    return [...found, ...(await outlivesKill(server, {}))]
  } finally {
    await other.stop()
  }
}

/** What is left after `kill -9` and a new start. */
export async function outlivesKill(server: PeerServer, open: Record<string, unknown>): Promise<string[]> {
  const tokens = (await server.issue(20)).map(({ accessToken }) => accessToken)
  await checkTokens(server, [], tokens)
  await server.kill()
  const again = await startPeer(server.peer, open)
  try {
    const alive = await activeOf(again, tokens)
    return alive < tokens.length
      ? [`after kill -9 and a new start it knows ${alive} of ${tokens.length} live tokens`]
      : []
  } finally {
    await again.stop()
  }
}

/** What was revoked stays revoked, and what was not lives on, when the process and the power have gone. */
export async function outlivesCrash(server: PeerServer, place: Place): Promise<string[]> {
  const pairs = await server.issue(40)
  const access = pairs.map(({ accessToken }) => accessToken)
  for (const { refreshToken } of pairs.slice(0, 20)) await checkRevoked(server, `${refreshToken}`)
  await server.kill()
  await place.crash?.()
  const again = await startPeer(server.peer, place.open)
  try {
    await checkTokens(again, access.slice(0, 20), access.slice(20))
    return []
  } finally {
    await again.stop()
  }
}
