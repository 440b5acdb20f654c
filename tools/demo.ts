// `npm run demo`: the story without a person. A real sign-in, an API that answers, an open stream, one call of
// revoke_oauth_tokens, and everything refuses. Exits 0 only when all of it was seen.
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { createBrowser, signInThrough } from './browser.ts'
import { DEMO_CLIENT, DEMO_PERSON, type Stack, startStack } from './stack.ts'

const started = performance.now()

/** The time is since the start; with `since`, as what came after that: “+25.6 ms”. */
function tell(what: string, since?: number) {
  const ms = (performance.now() - (since ?? started)).toFixed(1)
  process.stdout.write(`${(since === undefined ? ms : `+${ms}`).padStart(9)} ms  ${what}\n`)
}

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

/** Three free ports in a row: the authority, the API and the page. */
async function freePorts(): Promise<number> {
  const listen = (port: number) =>
    new Promise<number | undefined>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(undefined))
      server.listen(port, '127.0.0.1', () => {
        const { port: got } = server.address() as { port: number }
        server.close(() => resolve(got))
      })
    })
  for (let tries = 0; tries < 50; tries++) {
    const first = await listen(0)
    if (first && first < 65_000 && (await listen(first + 1)) && (await listen(first + 2))) return first
  }
  throw new Error('no three free ports in a row')
}

async function signIn({ issuer, web, api }: Stack) {
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(16).toString('base64url')
  const authorize = new URL(`${issuer}/oauth/authorize`)
  authorize.search = new URLSearchParams({
    response_type: 'code',
    client_id: DEMO_CLIENT,
    redirect_uri: `${web}/callback`,
    scope: 'openid notes:read',
    resource: api,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString()
  const back = await signInThrough(
    createBrowser(),
    authorize.href,
    DEMO_PERSON,
    new RegExp(`^${web}/callback`),
  )
  expect(back.searchParams.get('state') === state, 'the state came back changed')
  expect(back.searchParams.get('iss') === issuer, 'the answer came from another issuer')
  const response = await fetch(`${issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: `${back.searchParams.get('code')}`,
      redirect_uri: `${web}/callback`,
      client_id: DEMO_CLIENT,
      code_verifier: verifier,
    }),
  })
  expect(response.status === 200, `the code was not exchanged: ${response.status}`)
  return (await response.json()) as { access_token: string; refresh_token: string; logout_ticket: string }
}

/** Opens the API's event stream; `ended` resolves with the last event's data. */
async function openStream(api: string, token: string) {
  const response = await fetch(`${api}/events`, { headers: { authorization: `Bearer ${token}` } })
  expect(response.status === 200 && response.body !== null, `the stream was refused: ${response.status}`)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const first = await reader.read()
  const ended = (async () => {
    let text = first.value ?? ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return /event: session-ended\ndata: (.*)\n/.exec(text)?.[1] ?? ''
      text += value
    }
  })()
  return { ended }
}

async function tellStory(stack: Stack, data: string) {
  const { issuer, api } = stack
  const call = (token: string) => fetch(`${api}/notes`, { headers: { authorization: `Bearer ${token}` } })

  const tokens = await signIn(stack)
  tell('signed in: authorization code + PKCE, in a browser without JavaScript')
  expect((await call(tokens.access_token)).status === 200, 'the API refused a live token')
  tell('GET /notes → 200')
  const stream = await openStream(api, tokens.access_token)
  tell('GET /events → an open event stream')

  const agent = new Client({ name: 'demo-agent', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } })
  await agent.connect(new StreamableHTTPClientTransport(new URL(`${issuer}/mcp`)))
  const revokedAt = performance.now()
  const result = await agent.callTool({
    name: 'revoke_oauth_tokens',
    arguments: { accessToken: tokens.access_token, refreshToken: tokens.refresh_token },
  })
  expect(!result.isError, `revoke_oauth_tokens failed: ${JSON.stringify(result.content)}`)
  tell(`MCP revoke_oauth_tokens → ${JSON.stringify(result.structuredContent)}`)
  tell('after the call: the durable answer', revokedAt)

  let answer = await call(tokens.access_token)
  while (answer.status === 200 && performance.now() - revokedAt < 5_000)
    answer = await call(tokens.access_token)
  expect(answer.status === 401, `the API still answers ${answer.status} to a revoked token`)
  tell(`GET /notes → 401 ${await answer.text()}`, revokedAt)
  const tooLate = new Promise<string>((resolve) => setTimeout(resolve, 5_000, '').unref())
  const ended = await Promise.race([stream.ended, tooLate])
  expect(ended !== '', 'the event stream was not closed')
  tell(`the stream said session-ended ${ended} and closed`, revokedAt)
  const refresh = await fetch(`${issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
      client_id: DEMO_CLIENT,
    }),
  })
  expect(refresh.status === 400, `a refresh after the logout answered ${refresh.status}`)
  tell(
    `POST /oauth/token with the refresh token → 400 ${((await refresh.json()) as { error: string }).error}`,
  )
  await agent.close()

  const cli = [
    join(import.meta.dirname, '../packages/authority/src/cli.js'),
    'audit',
    'show',
    '--event',
    'revocation',
  ]
  const audit = spawnSync(process.execPath, [...cli, '--data', data], { encoding: 'utf8' })
  const records = audit.stdout.trim().split('\n')
  expect(
    audit.status === 0 && records.length === 1 && records[0] !== '',
    `not one audit record: ${audit.stderr}`,
  )
  tell(`rescind audit show → ${records[0]}`)
}

const data = mkdtempSync(join(tmpdir(), 'rescind-demo-'))
let stack: Stack | undefined
try {
  stack = await startStack({ port: String(await freePorts()), data })
  tell('authority, API and page are up')
  await tellStory(stack, data)
  process.stdout.write('\nDead everywhere. All of it was seen.\n')
} catch (error) {
  process.stdout.write(`\nNot as promised: ${(error as Error).message}\n`)
  process.exitCode = 1
} finally {
  await stack?.close()
  rmSync(data, { recursive: true, force: true })
}
