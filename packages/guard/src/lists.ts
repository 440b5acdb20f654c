import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { compactVerify } from 'jose'
import { GuardError } from './errors.ts'
import type { Position } from './protocol.ts'
import { readBody } from './read-body.ts'
import { LIST_SIZE, type StatusBits } from './status.ts'
import type { KeyResolver } from './verify.ts'

const TIMEOUT = 10_000
const MAX_AGGREGATION = 1024 * 1024
/** A list of which every second bit is set compresses to its own size; base64url twice, and the rest of a JWT. */
const MAX_LIST = 64 * 1024
const AT_ONCE = 8
/** How far clocks may differ, in seconds. */
const SKEW = 60

const decompress = promisify(inflate)

/** A status list, verified: its bytes, and the newest revocation that it knows of. */
export type StatusList = { bytes: Uint8Array } & Position

/**
 * Verifies a Status List Token (draft-ietf-oauth-status-list §8.3): signature, type, `sub`, times, and what it holds.
 * @param options.uri where it was fetched
 * @param options.now the time in ms
 * @throws Error when it can't be believed
 */
export async function readStatusList(
  token: string,
  options: { uri: string; keyFor: KeyResolver; now: number },
): Promise<StatusList> {
  const { uri, keyFor, now } = options
  const { payload, protectedHeader } = await compactVerify(
    token,
    ({ alg, kid }) => keyFor({ alg: `${alg}`, kid: `${kid}` }),
    { algorithms: ['EdDSA', 'Ed25519'] },
  )
  if (protectedHeader.typ !== 'statuslist+jwt') throw new Error('it is no status list')
  const claims = JSON.parse(Buffer.from(payload).toString('utf8')) as Record<string, unknown> | null
  const { sub, iat, exp, status_list } = claims ?? {}
  const { bits, lst } = (status_list ?? {}) as Record<string, unknown>
  const seconds = now / 1000
  if (sub !== uri) throw new Error('it is another status list')
  if (!Number.isSafeInteger(iat) || (iat as number) > seconds + SKEW)
    throw new Error('it is of no known time')
  if (!Number.isSafeInteger(exp) || (exp as number) + SKEW <= seconds) throw new Error('it has expired')
  if (bits !== 1 || typeof lst !== 'string' || !/^[A-Za-z0-9_-]+$/.test(lst))
    throw new Error('it is malformed')
  const bytes = await decompress(Buffer.from(lst, 'base64url'), { maxOutputLength: LIST_SIZE / 8 })
  return { bytes, ...readPosition(claims) }
}

/** Which place in the log it knows of; where it says none, the first. */
function readPosition(claims: Record<string, unknown> | null): Position {
  const { rescind_seq: seq, rescind_tag: tag } = claims ?? {}
  if (!Number.isSafeInteger(seq) || (seq as number) < 1) return { seq: 0, tag: '' }
  return { seq: seq as number, tag: typeof tag === 'string' && /^[\w-]{1,32}$/.test(tag) ? tag : '' }
}

/** Something answers there, but not what was looked for: waiting won't mend it. */
function noAuthority(url: string): GuardError {
  const mend = '`issuer` has to be the URL of a Rescind authority'
  return new GuardError('CONFIGURATION', `${url} is not there: ${mend}.`)
}

function readJson(text: string, url: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw noAuthority(url)
  }
}

/**
 * Reads every status list that the authority names into `bits`.
 * @param options.aggregation the list of lists (draft §9.3)
 * @param options.now the time in ms
 * @returns the place in the log up to which all of them know every revocation
 * @throws Error when one can't be read: what it says would be missing; GuardError CONFIGURATION where none can be
 */
export async function loadStatusLists(options: {
  aggregation: string
  bits: StatusBits
  keyFor: KeyResolver
  now: () => number
  fetch?: typeof globalThis.fetch
}): Promise<Position> {
  const { aggregation, bits, keyFor, now, fetch = globalThis.fetch } = options
  const get = async (url: string, accept: string, max: number) => {
    const request = { headers: { accept }, redirect: 'error', cache: 'no-store' } as const
    const response = await fetch(url, { ...request, signal: AbortSignal.timeout(TIMEOUT) })
    if (response.status === 404 && url === aggregation) throw noAuthority(url)
    if (response.status !== 200) throw new Error(`${new URL(url).pathname} answered ${response.status}`)
    const text = (await readBody(response, max)).toString('utf8')
    // Its own time where it says so: our clock may be wrong, and nothing has told us yet.
    return { text, at: Date.parse(response.headers.get('date') ?? '') || now() }
  }
  const named = readJson((await get(aggregation, 'application/json', MAX_AGGREGATION)).text, aggregation)
  const claims = (named ?? {}) as Record<string, unknown>
  const { status_lists: uris, rescind_seq } = claims
  if (!Array.isArray(uris) || !Number.isSafeInteger(rescind_seq))
    throw new Error('the list of lists is malformed')

  let known = readPosition(claims)
  const left = uris.map((uri: unknown) => {
    const number = typeof uri === 'string' ? bits.numberOf(uri) : undefined
    if (number === undefined) throw new Error('the list of lists names one that is not the authority’s')
    return { uri: uri as string, number }
  })
  async function readSome() {
    for (let next = left.pop(); next; next = left.pop()) {
      const { uri, number } = next
      const { text, at } = await get(uri, 'application/statuslist+jwt', MAX_LIST)
      const list = await readStatusList(text, { uri, keyFor, now: at })
      bits.merge(number, list.bytes)
      if (list.seq === known.seq && list.tag !== known.tag) throw new Error('the lists are of two logs')
      if (list.seq < known.seq) known = { seq: list.seq, tag: list.tag }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, readSome))
  return known
}
