import type { Authority } from './authority.ts'

/** How long a code that names an ended session is good, in ms. */
const GOOD_FOR = 15 * 60_000
const CONTEXT = 'signed-out'

type Sealing = Pick<Authority, 'seal' | 'now' | 'config'>

/** The page that tells why a session ended, for whoever could show that it was theirs; good for a quarter of an hour. */
export function endedPageUrl({ seal, now, config }: Sealing, sid: string): string {
  const sealed = seal.close(JSON.stringify({ sid, until: now() + GOOD_FOR }), CONTEXT)
  return `${config.issuer}/signed-out?code=${Buffer.from(sealed).toString('base64url')}`
}

/** The session that a code names; nothing, when it is none of ours or too old. */
export function readEndedCode({ seal, now }: Sealing, code: string | null): string | undefined {
  if (!code || code.length > 500) return undefined
  try {
    const { sid, until } = JSON.parse(seal.open(Buffer.from(code, 'base64url'), CONTEXT))
    return now() < until ? sid : undefined
  } catch {
    return undefined
  }
}
