/** Longer than any proof is valid, on either side of its time, in ms. */
const PROOF_LIFE = 125_000
/** Proofs are forgotten by parts of that, so that room comes back soon. */
const PARTS = 5
const MAX_PROOFS = 100_000
/** So many proofs each key may have, whatever others do: eight a second. */
const MAX_OF_KEY_WHEN_FULL = 1_000
/** A hundred requests a second, with one key, where there is room. */
const MAX_OF_KEY = 12_500

type Part = { seen: Set<string>; ofKey: Map<string, number> }

/**
 * Each DPoP proof counts once (RFC 9449 §11.1). Bounded: where room gets short, keys that made many proofs are refused, and
 * those that made few are not, up to twice the room.
 * @param now the time in ms
 */
export function createReplayCache(now: () => number) {
  const fresh = (): Part => ({ seen: new Set(), ofKey: new Map() })
  let parts = [fresh()]
  let since = now()

  function age(at: number) {
    const passed = Math.floor((at - since) / (PROOF_LIFE / PARTS))
    if (passed <= 0) return
    const empty = Array.from({ length: Math.min(passed, PARTS + 1) }, fresh)
    parts = [...empty, ...parts].slice(0, PARTS + 1)
    since += passed * (PROOF_LIFE / PARTS)
  }
  return {
    /** Whether a proof is seen for the first time. */
    first(jkt: string, jti: string): boolean {
      age(now())
      const proof = `${jkt} ${jti}`
      let [all, made] = [0, 0]
      for (const { seen, ofKey } of parts) {
        if (seen.has(proof)) return false
        all += seen.size
        made += ofKey.get(jkt) ?? 0
      }
      const room = all < MAX_PROOFS ? MAX_OF_KEY : all < 2 * MAX_PROOFS ? MAX_OF_KEY_WHEN_FULL : 0
      if (made >= room) return false
      const [young] = parts as [Part]
      young.seen.add(proof)
      young.ofKey.set(jkt, (young.ofKey.get(jkt) ?? 0) + 1)
      return true
    },
  }
}
