import type { Elsewhere } from './elsewhere.ts'
import { followEvents, type SessionEvent } from './events.ts'
import type { Platform } from './platform.ts'
import type { createRefresh } from './refresh.ts'
import type { Live, SessionCore } from './session.ts'

type Parts = {
  platform: Platform
  core: SessionCore
  refresh: ReturnType<typeof createRefresh>
  elsewhere: Elsewhere
  /** Asks the authority for its event stream. */
  open: Parameters<typeof followEvents>[0]
  /** Hears what ended elsewhere. */
  tell(event: SessionEvent): void
}

/** Follows the events of the account in one tab for all: browsers have few connections to one origin. */
export function createFollower({ platform, core, refresh, elsewhere, open, tell }: Parts) {
  let wanted = false
  let followed: AbortController | undefined

  async function hear(event: SessionEvent) {
    if (!event.current) return tell(event)
    const held = core.held()
    if (!held?.tokens || core.over()) return
    if (event.sid !== undefined && event.sid !== held.tokens.claims.sid) return
    // Without a page it may be this token alone: a refresh tells.
    if (event.page) await elsewhere.end(held as Live, { ...event, ended: true })
    else await refresh.renew(held as Live)
  }

  /** @param on whether somebody looks; nothing: as before, for a session that may be another */
  return (on = wanted): void => {
    wanted = on
    if (!on) {
      followed?.abort()
      followed = undefined
    }
    if (!on || followed || core.state().status !== 'signed-in') return
    const control = new AbortController()
    followed = control
    core.signal().addEventListener('abort', () => control.abort())
    platform
      .lock('events', () => followEvents(open, hear, control.signal), control.signal)
      .catch(() => {})
      .finally(() => {
        if (followed === control) followed = undefined
      })
  }
}
