// @node-oauth/oauth2-server as its documentation sets it up, on node:http: a bearer token is checked, nothing else is done.
import './production.mjs'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import OAuth2Server from '@node-oauth/oauth2-server'
import { serveCommands } from '../worker.ts'

const { Request, Response } = OAuth2Server
const tokens = new Map()
const model = { getAccessToken: async (token) => tokens.get(token) }
const oauth = new OAuth2Server({ model })
const ANSWER = Buffer.from('{"ok":true}')
const OK = { 'content-type': 'application/json', 'content-length': ANSWER.length }

async function handle(incoming, outgoing) {
  const { headers, method } = incoming
  const response = new Response({})
  try {
    await oauth.authenticate(new Request({ headers, method, query: {} }), response)
    outgoing.writeHead(200, OK).end(ANSWER)
  } catch (error) {
    outgoing.writeHead(error.code ?? 500, { ...response.headers, 'content-length': 0 }).end()
  }
}

async function open() {
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: server.address().port, pid: process.pid }
}

const keep = (accessToken) =>
  tokens.set(accessToken, {
    ...{ accessToken, accessTokenExpiresAt: new Date(Date.now() + 3_600_000), scope: ['notes'] },
    ...{ client: { id: 'bench-app' }, user: { id: accessToken.slice(0, 16) } },
  })

function issue({ count }) {
  const made = Array.from({ length: count }, () => randomBytes(32).toString('base64url'))
  for (const accessToken of made) keep(accessToken)
  return made.map((accessToken) => ({ accessToken }))
}

serveCommands({
  open,
  issue,
  copy: ({ accessTokens }) => accessTokens.forEach(keep),
  revoke: ({ accessTokens }) => accessTokens.forEach((token) => void tokens.delete(token)),
  endpoints: () => ['revoke', 'introspect'].filter((name) => name in OAuth2Server.prototype),
})
