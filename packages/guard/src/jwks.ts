import { importJWK, type JWK } from 'jose'
import { TokenInvalid } from './claims.ts'
import { unavailable } from './errors.ts'
import { readBody } from './read-body.ts'
import type { KeyResolver } from './verify.ts'

const TIMEOUT = 5_000
const MAX_BYTES = 256 * 1024
/** An unknown `kid` makes us ask again at most this often, in ms: made-up ones must not become a load. */
const REFETCH_EVERY = 10_000
/** After a failure sooner, or an API that started before its authority would refuse everybody for ten seconds. */
const RETRY_EVERY = 1_000

export type RemoteKeys = {
  /**
   * Finds a key. @throws TokenInvalid `foreign` for one that the authority doesn't have, GuardError UNAVAILABLE for
   * one that it couldn't be asked about: a live token must not look dead because the network is
   */
  find: KeyResolver
  /** The authority said that these are all its keys: what we lack is fetched, what it dropped is trusted no more. */
  expect(kids: string[]): Promise<void>
}

/**
 * The authority's keys, fetched when first needed and again when a token names one that we don't know: a key
 * rotation needs no restart. While the authority can't be reached the known keys go on working.
 * @param options.url the JWKS (RFC 7517 §5)
 * @param options.now the time in ms
 * @param options.listening whether the authority would have told us of a new key by now
 * @param options.onDropped a key went: what it signed is to be believed no more
 */
export function remoteKeys(options: {
  url: string
  now?: () => number
  listening?: () => boolean
  onDropped?: () => void
  fetch?: typeof globalThis.fetch
}): RemoteKeys {
  const { url, now = Date.now, listening = () => false, onDropped, fetch = globalThis.fetch } = options
  let keys = new Map<string, CryptoKey>()
  let announced: Set<string> | undefined
  let fetchedAt = -Infinity
  let fetching: Promise<void> | undefined
  let failed = false

  async function refetch() {
    fetchedAt = now()
    const before = announced
    try {
      const next = await fetchKeys(url, fetch)
      // Asked before the last announcement, it may still have a key that was dropped by it.
      if (announced !== before) for (const kid of [...next.keys()]) if (!announced?.has(kid)) next.delete(kid)
      replace(next)
      failed = false
    } catch {
      // The keys that we have go on working; whoever needs another one is refused.
      failed = true
    }
  }
  function replace(next: Map<string, CryptoKey>) {
    const dropped = [...keys.keys()].some((kid) => !next.has(kid))
    keys = next
    if (dropped) onDropped?.()
  }
  function refetchOnce(): Promise<void> {
    fetching ??= refetch().finally(() => {
      fetching = undefined
    })
    return fetching
  }
  return {
    async find({ kid }) {
      const known = keys.get(kid)
      if (known) return known
      const mayAsk = fetching || now() - fetchedAt >= (failed ? RETRY_EVERY : REFETCH_EVERY)
      if (mayAsk) await refetchOnce()
      const key = keys.get(kid)
      if (key) return key
      // It was asked just now and does not have it, or it would have told us.
      if (mayAsk ? !failed : listening() && announced && !announced.has(kid))
        throw new TokenInvalid('foreign')
      throw unavailable('The authority’s keys can’t be read right now. Try again.')
    },
    async expect(kids) {
      announced = new Set(kids)
      const dropped = [...keys].filter(([kid]) => !announced?.has(kid))
      if (dropped.length > 0) replace(new Map([...keys].filter(([kid]) => announced?.has(kid))))
      // Twice: one that is under way may have been asked before the key was there.
      for (let tries = 0; tries < 2 && kids.some((kid) => !keys.has(kid)); tries++) await refetchOnce()
    },
  }
}

async function fetchKeys(url: string, fetch: typeof globalThis.fetch): Promise<Map<string, CryptoKey>> {
  const response = await fetch(url, {
    signal: AbortSignal.timeout(TIMEOUT),
    redirect: 'error',
    cache: 'no-store',
  })
  if (response.status !== 200) throw new Error(`the JWKS answered ${response.status}`)
  const { keys } = JSON.parse((await readBody(response, MAX_BYTES)).toString('utf8')) as { keys: JWK[] }
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
