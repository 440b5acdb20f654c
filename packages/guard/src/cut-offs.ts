import type { CutOff } from './protocol.ts'

/** What a token has to say for itself when everything before a time is dead. */
export type IssuedToken = { iat: number; clientId: string }

/** Longer than any access token lives, in seconds: after that, a cut-off has nothing left to kill. */
const MATTERS = 3_700
/** More than administrators ever make within that time; a flood of them is no reason to forget one. */
const MOST = 100_000

export type CutOffs = {
  /** Takes in a cut-off. @throws RangeError when there are too many */
  add(cutOff: CutOff): void
  /** The cut-off that killed a token, if one did. */
  over(token: IssuedToken): CutOff | undefined
  /** Tokens of a client that were issued before this, in s, are dead. */
  aliveFrom(clientId: string): number
}

/** Remembers from when on tokens are alive. Each one that is added makes the ones that it covers superfluous. */
export function createCutOffs(): CutOffs {
  const ofAll = new Map<string | undefined, CutOff>()
  return {
    add(cutOff) {
      const { clientId, before, at } = cutOff
      // In the order in which they came: the oldest are first.
      for (const [whose, old] of ofAll) {
        if (old.at / 1000 + MATTERS >= at / 1000) break
        ofAll.delete(whose)
      }
      if (before <= (ofAll.get(clientId)?.before ?? -1)) return
      if (ofAll.size >= MOST) throw new RangeError('there are too many cut-offs')
      ofAll.delete(clientId)
      ofAll.set(clientId, cutOff)
    },
    aliveFrom: (clientId) => Math.max(ofAll.get(undefined)?.before ?? 0, ofAll.get(clientId)?.before ?? 0),
    over({ iat, clientId }) {
      if (ofAll.size === 0) return undefined
      const found = [ofAll.get(undefined), ofAll.get(clientId)]
      return found.find((one) => one !== undefined && iat < one.before)
    },
  }
}
