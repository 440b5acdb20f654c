/*
 * The bits of the IETF Token Status List (draft-ietf-oauth-status-list): one for each access token that was issued, set
 * when it is revoked. A million tokens are 125 KB, whatever share of them is dead.
 */

/** How many tokens one list speaks of. */
export const LIST_SIZE = 131_072
/** More lists than this are not held: a thousand million tokens that all live at once. */
const MAX_LISTS = 8_192

/** Where a token's bit is. */
export type Place = { readonly bytes: Uint8Array; readonly at: number; readonly mask: number }

export function isSet({ bytes, at, mask }: Place): boolean {
  return ((bytes[at] ?? 0) & mask) !== 0
}

export function setBit({ bytes, at, mask }: Place): void {
  bytes[at] = (bytes[at] ?? 0) | mask
}

/** The address of a list: what its tokens name (draft §6.2) and what it says of itself as `sub` (§5.1). */
export function listUri(issuer: string, list: number): string {
  return `${issuer}/status-lists/${list}`
}

export type StatusBits = {
  /** Finds the bit that a token's `status` claim names; nothing, where there is no such list of this issuer. */
  place(status: { idx: number; uri: string } | undefined): Place | undefined
  /** Its index among all tokens that were ever issued. */
  indexOf(status: { idx: number; uri: string } | undefined): number | undefined
  /** Sets the bit of the token with this index among all that were ever issued. @throws RangeError */
  mark(index: number): void
  /** Adds what a list says to what is known; a bit that is set stays set. @throws RangeError */
  merge(list: number, bytes: Uint8Array): void
  /** The bytes of a list, least significant bit first (§4.1). */
  list(list: number): Uint8Array
  /** The number of the list at `uri`. */
  numberOf(uri: string): number | undefined
  /** Forgets the lists below this one: all their tokens have expired. */
  retire(first: number): void
  /** Lists below this one are forgotten. */
  readonly first: number
  /** How much memory the bits take, in bytes. */
  readonly bytes: number
}

/** Bits that are all zero: every token lives. */
export function createStatusBits(issuer: string): StatusBits {
  const lists = new Map<number, Uint8Array>()
  const start = listUri(issuer, 0).slice(0, -1)
  let first = 0

  function list(number: number): Uint8Array {
    const known = lists.get(number)
    if (known) return known
    if (!Number.isSafeInteger(number) || number < first || lists.size >= MAX_LISTS)
      throw new RangeError(`there is no status list ${number}`)
    const made = new Uint8Array(LIST_SIZE / 8)
    lists.set(number, made)
    return made
  }
  function numberOf(uri: string): number | undefined {
    const digits = uri.startsWith(start) ? uri.slice(start.length) : ''
    return /^(0|[1-9]\d{0,9})$/.test(digits) ? Number(digits) : undefined
  }
  return {
    list,
    numberOf,
    indexOf(status) {
      const number = status && numberOf(status.uri)
      return status === undefined || number === undefined ? undefined : number * LIST_SIZE + status.idx
    },
    place(status) {
      const number = status && numberOf(status.uri)
      if (!status || number === undefined || number < first || status.idx >= LIST_SIZE) return undefined
      if (!lists.has(number) && lists.size >= MAX_LISTS) return undefined
      return { bytes: list(number), at: status.idx >> 3, mask: 1 << (status.idx & 7) }
    },
    mark(index) {
      const number = Math.floor(index / LIST_SIZE)
      if (number < first) return
      const bytes = list(number)
      const bit = index - number * LIST_SIZE
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7))
    },
    merge(number, other) {
      if (number < first) return
      const bytes = list(number)
      if (other.length > bytes.length) throw new RangeError(`status list ${number} is too long`)
      for (let i = 0; i < other.length; i++) bytes[i] = (bytes[i] ?? 0) | (other[i] ?? 0)
    },
    retire(below) {
      if (below <= first) return
      first = below
      for (const number of lists.keys()) if (number < below) lists.delete(number)
    },
    get first() {
      return first
    },
    get bytes() {
      return (lists.size * LIST_SIZE) / 8
    },
  }
}
