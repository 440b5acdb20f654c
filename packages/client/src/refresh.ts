import { RescindClientError } from './errors.ts'
import type { Platform } from './platform.ts'
import { type Live, type SessionCore, sessionEnded } from './session.ts'
import { within } from './within.ts'

/** A token that is about to expire is not worth sending, in ms. */
const MARGIN = 10_000
const PATIENCE = 10_000

/**
 * Gets tokens, once for all tabs.
 * @param refused ends a session that the authority has no tokens for any more
 */
export function createRefresh(
  platform: Platform,
  core: SessionCore,
  refused: (held: Live) => Promise<unknown>,
) {
  /**
   * The session with other tokens than these: those that another tab has got meanwhile, or new ones.
   * @throws RescindClientError NOT_SIGNED_IN, SESSION_ENDED, UNAVAILABLE
   */
  function renew(used: Live): Promise<Live> {
    return platform.lock('refresh', async () => {
      const now = await core.live()
      if (now.version !== used.version) return now
      const work = (signal: AbortSignal) => platform.refresh(now.tokens, signal)
      const fresh = await within(PATIENCE, work, core.signal()).catch((error) => {
        if (core.over()) throw sessionEnded(core.over())
        if ((error as RescindClientError).code === 'REFUSED') return undefined
        const message = 'The authority can’t be reached. Try again.'
        throw new RescindClientError('UNAVAILABLE', message, undefined, error)
      })
      if (!fresh) {
        await refused(now)
        throw sessionEnded(core.over())
      }
      const kept = await platform.store.save(fresh, now.epoch)
      // The session ended while they were on their way: nobody gets them, and its ticket is in the queue.
      if (!kept) await core.look()
      else if (!core.over()) core.adopt(kept)
      return core.live()
    })
  }

  return {
    renew,
    /** The live session, with a token that can be used. @throws as `renew` */
    async current(): Promise<Live> {
      const now = await core.live()
      return now.tokens.expiresAt - MARGIN > Date.now() ? now : renew(now)
    },
  }
}
