import { TokenInvalid } from '@rescind/guard/claims'
import { createVerifier, type Verifier } from '@rescind/guard/verify'

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
