// What the program acts in: an authority in a process of its own, tokens that it signs, and questions to a guard.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

export const AUDIENCE = 'https://api.example'
export const CREDENTIALS = { clientId: 'the api', clientSecret: 'a secret: 100%' }

export async function makeKey(alg) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { privateKey, publicJwk: await exportJWK(publicKey), jwk: await exportJWK(privateKey) }
}

export async function startWorld() {
  const key = await makeKey('EdDSA')
  const log = []
  let authority
  let indexes = 0
  const world = {
    issuer: '',
    /** Starts the authority; later again, on the same port, with all that it knew. */
    async start(settings = {}) {
      const port = world.issuer ? Number(new URL(world.issuer).port) : 0
      const state = { port, clock: 0, feed: true, jwk: { ...key.jwk, kid: 'k1' }, log, ...settings }
      authority = spawn(
        process.env.NODE,
        [fileURLToPath(new URL('authority.mjs', import.meta.url)), JSON.stringify(state)],
        {
          stdio: ['pipe', 'pipe', 'inherit'],
        },
      )
      const listening = await new Promise((resolve, reject) => {
        authority.stdout.once('data', (data) => resolve(Number(`${data}`)))
        authority.once('exit', (code) => reject(new Error(`the authority ended: ${code}`)))
      })
      world.issuer = `http://127.0.0.1:${listening}`
    },
    async kill() {
      const gone = new Promise((resolve) => authority.once('exit', resolve))
      authority.kill('SIGKILL')
      await gone
    },
    /** An access token with a place of its own in the status list. */
    async token(claims = {}, signer = key.privateKey) {
      const index = indexes++
      const now = Math.floor(Date.now() / 1000)
      const status = { status_list: { idx: index, uri: `${world.issuer}/status-lists/0` } }
      const usual = { sub: 'ann', aud: AUDIENCE, client_id: 'app', scope: 'notes:read', sid: `s${index}` }
      const payload = {
        ...usual,
        iss: world.issuer,
        jti: `t${index}`,
        iat: now,
        exp: now + 600,
        status,
        ...claims,
      }
      const text = await new SignJWT(payload)
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'k1' })
        .sign(signer)
      return { text, index, sid: payload.sid }
    },
    /** Ends the session of a token; `quietly`: the authority learns of it at its next start. */
    async revoke({ sid, index }, { reason = 'user_logout', quietly = false } = {}) {
      const what = { sid, reason, tokens: [index] }
      if (quietly) return void log.push({ seq: log.length + 1, at: Date.now(), ...what })
      const response = await fetch(`${world.issuer}/revoke`, { method: 'POST', body: JSON.stringify(what) })
      log.push(await response.json())
    },
  }
  await world.start()
  return world
}

/** Waits until something is so; fails after ten seconds. */
export async function until(what, so) {
  for (const end = Date.now() + 10_000; !(await so()); ) {
    if (Date.now() > end) throw new Error(`this never came to be: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
