import type { Claims } from '../platform.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** A keychain has little room, so of what is for people only this is kept, cut to so many characters. */
const SHOWN = ['name', 'email']
const MOST = 120
/** The most that an id has (OpenID Connect Core §2). */
const LONGEST_ID = 255

/**
 * What of an ID token is kept. It came straight from the token endpoint, so its signature need not be checked (OpenID Connect
 * Core §3.1.3.7, point 6). By hand, because not every JavaScript engine of phones has `atob` and `TextDecoder`.
 * @returns nothing, when it is none
 */
export function claimsOf(idToken: string | undefined): Claims | undefined {
  try {
    const all = JSON.parse(decode(`${idToken}`.split('.')[1] ?? '')) as Record<string, unknown>
    const { sub, sid } = all
    if (!isId(sub) || !isId(sid)) return undefined
    const shown = SHOWN.flatMap((name) => {
      const text = typeof all[name] === 'string' ? [...all[name]].slice(0, MOST).join('') : ''
      // What is escaped has no room.
      return text !== '' && JSON.stringify(text).length <= 2 * MOST + 2 ? [[name, text]] : []
    })
    return { ...Object.fromEntries(shown), sub, sid }
  } catch {
    return undefined
  }
}

const isId = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= LONGEST_ID

/** base64url of UTF-8. */
function decode(text: string): string {
  let bits = 0
  let value = 0
  let escaped = ''
  for (const letter of text) {
    value = (value << 6) | ALPHABET.indexOf(letter)
    bits += 6
    if (bits < 8) continue
    bits -= 8
    escaped += `%${((value >> bits) & 255).toString(16).padStart(2, '0')}`
    value &= (1 << bits) - 1
  }
  return decodeURIComponent(escaped)
}
