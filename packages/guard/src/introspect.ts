import { unavailable } from './errors.ts'
import { basic, type Credentials } from './feed.ts'
import { readBody } from './read-body.ts'

const TIMEOUT = 2_000
const MAX_ANSWER = 64 * 1024
/** More questions than this are not asked at once: an authority that is coming back must not be run over. */
const MAX_AT_ONCE = 256

/**
 * Asks the authority about tokens (RFC 7662); those who ask about the same one at the same time share the answer.
 * @returns whether the token is active; it throws GuardError UNAVAILABLE when that can't be told
 */
export function createIntrospection(
  url: string,
  credentials: Credentials,
): (token: string) => Promise<boolean> {
  const asking = new Map<string, Promise<boolean>>()

  async function ask(token: string): Promise<boolean> {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { authorization: basic(credentials), 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token }).toString(),
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT),
      })
      if (response.status !== 200) throw new Error(`introspection answered ${response.status}`)
      const answer = JSON.parse((await readBody(response, MAX_ANSWER)).toString('utf8')) as {
        active?: unknown
      } | null
      return answer?.active === true
    } catch {
      throw unavailable()
    }
  }
  return async (token) => {
    const running = asking.get(token)
    if (running) return running
    if (asking.size >= MAX_AT_ONCE) throw unavailable()
    const answer = ask(token).finally(() => asking.delete(token))
    asking.set(token, answer)
    return answer
  }
}
