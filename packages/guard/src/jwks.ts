import { importJWK, type JWK } from 'jose'
import { TokenInvalid } from './claims.ts'
import { GuardError } from './errors.ts'
import type { KeyResolver } from './verify.ts'

const TIMEOUT = 5_000
const MAX_BYTES = 256 * 1024
/** An unknown `kid` makes us ask again at most this often, in ms: made-up ones must not become a load. */
const REFETCH_EVERY = 10_000
/** After a failure sooner, or an API that started before its authority would refuse everybody for ten seconds. */
const RETRY_EVERY = 1_000

/**
 * The authority's keys, fetched when first needed and again when a token names one that we don't know: a key
 * rotation needs no restart. While the authority can't be reached the known keys go on working.
 * @param options.url the JWKS (RFC 7517 §5)
 * @param options.now the time in ms
 * @returns a resolver that throws TokenInvalid `foreign` for a key that the authority doesn't have, and GuardError
 * UNAVAILABLE for one that it couldn't be asked about: a live token must not look dead because the network is
 */
export function remoteKeys(options: {
  url: string
  now?: () => number
  fetch?: typeof globalThis.fetch
}): KeyResolver {
  const { url, now = Date.now, fetch = globalThis.fetch } = options
  let keys = new Map<string, CryptoKey>()
  let fetchedAt = -Infinity
  let fetching: Promise<void> | undefined
  let failed = false

  async function refetch() {
    fetchedAt = now()
    try {
      keys = await fetchKeys(url, fetch)
      failed = false
    } catch {
      // The keys that we have go on working; whoever needs another one is refused.
      failed = true
    }
  }
  return async ({ kid }) => {
    if (!keys.has(kid) && (fetching || now() - fetchedAt >= (failed ? RETRY_EVERY : REFETCH_EVERY))) {
      fetching ??= refetch().finally(() => {
        fetching = undefined
      })
      await fetching
    }
    const key = keys.get(kid)
    if (key) return key
    if (!failed) throw new TokenInvalid('foreign')
    throw new GuardError('UNAVAILABLE', 'The authority’s keys can’t be read right now. Try again.', {
      'retry-after': '1',
    })
  }
}

async function fetchKeys(url: string, fetch: typeof globalThis.fetch): Promise<Map<string, CryptoKey>> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT), redirect: 'error' })
  if (response.status !== 200 || !response.body) throw new Error(`the JWKS answered ${response.status}`)
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body) {
    length += chunk.length
    if (length > MAX_BYTES) throw new Error('the JWKS is too large')
    chunks.push(chunk)
  }
  const { keys } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { keys: JWK[] }
  const usable = keys.filter(
    ({ kty, crv, kid, use }) => kty === 'OKP' && crv === 'Ed25519' && kid && (use ?? 'sig') === 'sig',
  )
  const imported = await Promise.allSettled(
    // Only what makes it a public key, whatever else stands there.
    usable.map(async ({ kty, crv, x, kid }) => {
      return [kid as string, (await importJWK({ kty, crv, x }, 'EdDSA')) as CryptoKey] as const
    }),
  )
  // One key that can't be read must not take the others with it.
  return new Map(imported.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))
}
