/** Longer than any proof is valid, on either side of its time, in ms. */
const PROOF_LIFE = 125_000
const MAX_PROOFS = 100_000
/** A hundred requests a second, with one key. */
const MAX_PROOFS_OF_KEY = 12_500

type Generation = { seen: Set<string>; ofKey: Map<string, number> }

/**
 * Each DPoP proof counts once (RFC 9449 §11.1). Bounded, for each key too: who makes proofs without end is refused,
 * not everybody else. Proofs are forgotten a generation at a time.
 * @param now the time in ms
 */
export function createReplayCache(now: () => number) {
  const fresh = (): Generation => ({ seen: new Set(), ofKey: new Map() })
  let young = fresh()
  let old = fresh()
  let since = now()

  function age(at: number) {
    if (at - since < PROOF_LIFE) return
    old = at - since < 2 * PROOF_LIFE ? young : fresh()
    young = fresh()
    since = at
  }
  return {
    /** Whether a proof is seen for the first time. */
    first(jkt: string, jti: string): boolean {
      age(now())
      const proof = `${jkt} ${jti}`
      if (young.seen.has(proof) || old.seen.has(proof)) return false
      const made = young.ofKey.get(jkt) ?? 0
      if (made >= MAX_PROOFS_OF_KEY || young.seen.size >= MAX_PROOFS) return false
      young.seen.add(proof)
      young.ofKey.set(jkt, made + 1)
      return true
    },
  }
}
