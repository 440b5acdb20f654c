import { type AccessTokenClaims, TokenInvalid } from '@rescind/guard/claims'
import { createVerifier, type Verifier } from '@rescind/guard/verify'
import { StoreUnavailable } from '../store/store.ts'

/**
 * Verifies access tokens of ours, by the keys as they are when one comes.
 * @param now the time in ms
 * @param rememberFor how long a token lives at most, in ms
 * @param caughtUp resolves once a key that another process has added by then is there
 */
export function verifierOf(
  issuer: string,
  now: () => number,
  keys: () => Map<string, CryptoKey>,
  caughtUp: () => Promise<void>,
  rememberFor: number,
): Verifier {
  return createVerifier({
    ...{ issuer, now, rememberFor },
    keyFor: async ({ kid }) => {
      if (!keys().has(kid)) await caughtUp()
      const key = keys().get(kid)
      if (!key) throw new TokenInvalid('foreign')
      return key
    },
  })
}

/**
 * The claims of a token of ours; nothing, where it is none.
 * @throws StoreUnavailable: whether a key that we have not seen is ours can’t be said without the store
 */
export function claimsOf(
  verifier: Verifier,
  token: string,
  options?: Parameters<Verifier['verify']>[1],
): Promise<AccessTokenClaims | undefined> {
  return verifier.verify(token, options).catch((error: unknown) => {
    if (error instanceof StoreUnavailable) throw error
    return undefined
  })
}
