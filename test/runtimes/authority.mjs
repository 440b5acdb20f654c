// An authority as small as the guard needs one. It is a process, so that it can be killed, and has no memory of its own:
//   node authority.mjs '{ "port": 0, "clock": 0, "feed": true, "jwk": { … }, "log": [] }'
// prints its port. `POST /revoke` records a revocation and announces it.
import { createServer } from 'node:http'
import { deflateSync } from 'node:zlib'
import { LIST_SIZE, listUri } from '@rescind/guard/status'
import { decodeJwt, importJWK, SignJWT } from 'jose'
import { WebSocketServer } from 'ws'

const { port, clock, feed, jwk, log } = JSON.parse(process.argv[2])
const AUDIENCE = 'https://api.example'
const CREDENTIALS = `Basic ${Buffer.from('the+api:a+secret%3A+100%25').toString('base64')}`

const privateKey = await importJWK(jwk, 'EdDSA')
const publicJwk = { kty: jwk.kty, crv: jwk.crv, x: jwk.x, kid: jwk.kid, alg: 'EdDSA', use: 'sig' }
const guards = new WebSocketServer({ noServer: true })
const server = createServer(answer)
const issuer = () => `http://127.0.0.1:${server.address().port}`
const now = () => Date.now() + clock
const head = () => log.at(-1)?.seq ?? 0

async function answer(req, res) {
  res.setHeader('date', new Date(now()).toUTCString())
  let body = ''
  for await (const chunk of req) body += chunk
  const json = (value) => res.end(JSON.stringify(value))
  if (req.url === '/revoke') return json(revoke(JSON.parse(body)))
  if (req.url === '/oauth/jwks') return json({ keys: [publicJwk] })
  if (req.url === '/oauth/introspect') return json({ active: isActive(body) })
  if (req.url === '/status-lists/0') return res.end(await statusList())
  if (req.url === '/status-lists') return json({ status_lists: [listUri(issuer(), 0)], ...place() })
  res.writeHead(404).end()
}

function revoke(what) {
  const prev = head()
  const record = { seq: prev + 1, at: now(), reason: 'user_logout', ...what }
  log.push(record)
  for (const guard of guards.clients)
    send(guard, { type: 'revocation', ...record, tag: tagOf(record.seq), prev })
  return record
}

function isActive(body) {
  const { sid, jti } = decodeJwt(new URLSearchParams(body).get('token'))
  return !log.some((one) => one.sid === sid && (one.jti === undefined || one.jti === jti))
}

function statusList() {
  const bytes = new Uint8Array(LIST_SIZE / 8)
  for (const index of log.flatMap(({ tokens }) => tokens)) bytes[index >> 3] |= 1 << (index & 7)
  const iat = Math.floor(now() / 1000)
  const lst = deflateSync(bytes).toString('base64url')
  const claims = { sub: listUri(issuer(), 0), iat, exp: iat + 300, ttl: 10, ...place() }
  return new SignJWT({ ...claims, status_list: { bits: 1, lst } })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'statuslist+jwt', kid: jwk.kid })
    .sign(privateKey)
}

const tagOf = (seq) => (seq === 0 ? '' : `tag-${seq}`)
const place = () => ({ rescind_seq: head(), rescind_tag: tagOf(head()) })
const beat = () => ({ seq: head(), tag: tagOf(head()), prev: head(), at: now(), firstList: 0 })

function send(guard, message) {
  guard.send(JSON.stringify(message))
}

server.on('upgrade', (req, socket, start) => {
  const status = !feed ? 503 : req.headers.authorization === CREDENTIALS ? 0 : 401
  if (status) return socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  guards.handleUpgrade(req, socket, start, (guard) => {
    let prev = Number(new URL(req.url, issuer()).searchParams.get('since'))
    for (const record of log.filter(({ seq }) => seq > prev)) {
      send(guard, { type: 'revocation', ...record, tag: tagOf(record.seq), prev })
      prev = record.seq
    }
    send(guard, { type: 'ready', guard: 'g1', resources: [AUDIENCE], kids: [jwk.kid], ...beat(), prev })
  })
})
setInterval(() => {
  for (const guard of guards.clients) send(guard, { type: 'heartbeat', ...beat() })
}, 200)
// Who started us is gone.
process.stdin.on('end', () => process.exit()).resume()
server.listen(port, '127.0.0.1', () => console.log(server.address().port))
