import type { Claims } from '../platform.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** A keychain has little room, so only these are kept, each cut to so many characters. */
const KEPT = ['sub', 'sid', 'name', 'email']
const MOST = 120

/**
 * What of an ID token is kept. It came straight from the token endpoint, so its signature need not be checked (OpenID Connect
 * Core §3.1.3.7, point 6). By hand, because not every JavaScript engine of phones has `atob` and `TextDecoder`.
 * @returns nothing, when it is none
 */
export function claimsOf(idToken: string | undefined): Claims | undefined {
  try {
    const all = JSON.parse(decode(`${idToken}`.split('.')[1] ?? '')) as Record<string, unknown>
    const some = KEPT.flatMap((name) =>
      typeof all[name] === 'string' ? [[name, all[name].slice(0, MOST)]] : [],
    )
    const claims = Object.fromEntries(some) as Partial<Claims>
    return claims.sub && claims.sid ? (claims as Claims) : undefined
  } catch {
    return undefined
  }
}

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
