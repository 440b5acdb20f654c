import { TokenInvalid } from '@rescind/guard/claims'
import { createVerifier, type Verifier } from '@rescind/guard/verify'

/** Verifies access tokens of ours, by the keys as they are when one comes. */
export function verifierOf(issuer: string, now: () => number, keys: () => Map<string, CryptoKey>): Verifier {
  return createVerifier({
    issuer,
    now,
    keyFor: async ({ kid }) => {
      const key = keys().get(kid)
      if (!key) throw new TokenInvalid('foreign')
      return key
    },
  })
}
