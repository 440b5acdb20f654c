import type { Elsewhere } from './elsewhere.ts'
import { RescindClientError } from './errors.ts'
import type { Platform } from './platform.ts'
import type { createRefresh } from './refresh.ts'
import { type Live, type SessionCore, sessionEnded } from './session.ts'

type Parts = {
  platform: Platform
  core: SessionCore
  refresh: ReturnType<typeof createRefresh>
  elsewhere: Elsewhere
  origins: string[]
}

/** `fetch` with the token of the session; its requests abort when the session ends. */
export function createFetch({ platform, core, refresh, elsewhere, origins }: Parts) {
  return async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    // Not with `URL`: on phones it may know no `origin`.
    if (!origins.includes(/^\w+:\/\/[^/?#]+/.exec(request.url)?.[0] ?? '')) {
      throw new RescindClientError('CONFIGURATION', 'Not one of `origins`.')
    }
    const first = await refresh.current()
    const signal = core.signal()
    const once = async (live: Live) => {
      const either = platform.either(signal, request.signal)
      try {
        return await platform.send(new Request(request.clone(), either), live.tokens)
      } catch (error) {
        throw signal.aborted ? sessionEnded(core.over()) : error
      } finally {
        either.release()
      }
    }
    const response = await once(first)
    if (!(await isDead(response))) return response
    const second = await refresh.renew(first)
    const again = await once(second)
    // An API that refuses what the authority has just issued is wrong about something; only the authority’s word ends it.
    const told = (await isDead(again)) ? await elsewhere.ask(second) : {}
    if (!told.ended) return again
    await elsewhere.end(second, told)
    throw sessionEnded(core.over())
  }
}

/** What our guards and our authority say of a dead token; a proxy’s bare 401 is somebody else’s word. */
async function isDead(response: Response): Promise<boolean> {
  if (response.status !== 401) return false
  if (/error="invalid_token"/.test(response.headers.get('www-authenticate') ?? '')) return true
  const body = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { code?: unknown } | undefined
  return body?.code === 'AUTHENTICATION_FAILED'
}
