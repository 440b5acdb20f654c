import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { signAdminToken } from './admin.ts'
import type { Config } from './config.ts'
import { RescindError } from './errors.ts'
import { openKeyRing } from './keys/ring.ts'
import type { Seal } from './keys/seal.ts'
import type { Store } from './store/store.ts'

/** What a command on the server works with. */
export type Here = { config: Config; store: Store; seal: Seal; actor: string }

/** A command waits so long for an answer, in ms. */
const PATIENCE = 30_000

/**
 * Asks the authority that runs with this configuration on this machine, with a token that only who can open its keys can
 * make.
 * @returns what it answers, or nothing when nobody listens there
 * @throws RescindError its own refusal; UNAVAILABLE when what listens there is not this authority, or says nothing
 */
export async function askRunning(
  { config, store, seal, actor }: Here,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Record<string, unknown> | undefined> {
  const ring = await openKeyRing(store, seal, Date.now())
  const token = await signAdminToken(ring, config.issuer, actor, Date.now())
  const { host } = new URL(config.issuer)
  const sent = body === undefined ? undefined : JSON.stringify(body)
  const response = await send(addressOf(config) + path, sent, {
    ...{ authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    // It answers to its own name alone.
    host,
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') return undefined
    throw notRunning(config, 'does not answer')
  })
  if (!response) return undefined
  const { status, answer } = response
  if (status === 200) return answer
  const { error, code } = answer
  // That the token is refused, or the path unknown, says that it is another one.
  if (typeof error !== 'string' || [401, 403].includes(status) || code === undefined)
    throw notRunning(config, `answers ${status}`)
  throw new RescindError(code as RescindError['code'], error)
}

type Answer = { status: number; answer: Record<string, unknown> }

/** `fetch` would not send the name that we want to ask for. */
function send(url: string, body: string | undefined, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const signal = AbortSignal.timeout(PATIENCE)
    const req = request(url, { method, headers, signal }, (res) => {
      json(res).then(
        (answer) => resolve({ status: res.statusCode ?? 0, answer: answer as Answer['answer'] }),
        () => resolve({ status: res.statusCode ?? 0, answer: {} }),
      )
    })
    req.on('error', reject)
    req.end(body)
  })
}

/** The refusal of a command that needs the authority to run. */
export function notRunning(config: Config, what: string): RescindError {
  return new RescindError(
    'UNAVAILABLE',
    `The authority at ${addressOf(config)} ${what}. Is it running with this configuration?`,
  )
}

function addressOf({ host, port }: Config): string {
  const name = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
