import { importJWK, type JWK } from 'jose'
import { TokenInvalid } from './claims.ts'
import type { KeyResolver } from './verify.ts'

const TIMEOUT = 5_000
const MAX_BYTES = 256 * 1024
/** An unknown `kid` makes us ask again at most this often, in ms: made-up ones must not become a load. */
const REFETCH_EVERY = 10_000

/**
 * The authority's keys, fetched when first needed and again when a token names one that we don't know: a key
 * rotation needs no restart. While the authority can't be reached the known keys go on working.
 * @param options.url the JWKS (RFC 7517 §5)
 * @param options.now the time in ms
 */
export function remoteKeys(options: { url: string; now?: () => number }): KeyResolver {
  const { url, now = Date.now } = options
  let keys = new Map<string, CryptoKey>()
  let fetchedAt = -Infinity
  let fetching: Promise<void> | undefined

  async function refetch() {
    fetchedAt = now()
    try {
      keys = await fetchKeys(url)
    } catch {
      // The keys that we have go on working; whoever needs another one is refused.
    }
  }
  return async ({ kid }) => {
    if (!keys.has(kid) && (fetching || now() - fetchedAt >= REFETCH_EVERY)) {
      fetching ??= refetch().finally(() => {
        fetching = undefined
      })
      await fetching
    }
    const key = keys.get(kid)
    if (!key) throw new TokenInvalid('foreign')
    return key
  }
}

async function fetchKeys(url: string): Promise<Map<string, CryptoKey>> {
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
  const imported = usable.map(
    async (jwk) => [jwk.kid as string, (await importJWK(jwk, 'EdDSA')) as CryptoKey] as const,
  )
  return new Map(await Promise.all(imported))
}
