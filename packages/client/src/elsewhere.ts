import type { Ended } from './platform.ts'
import { postForm } from './post-form.ts'
import type { Live, SessionCore } from './session.ts'
import { within } from './within.ts'

/** For the authority’s word, in ms. */
const PATIENCE = 2_000

/** What the authority says of a session. */
export type Told = Partial<Ended> & { ended?: boolean }

type Parts = {
  authority: string
  core: SessionCore
  endedPage(page?: string): string | false
  endHere(ended: Ended, reason?: string): Promise<unknown>
}

/** Sessions that somebody else has ended, or may have. */
export function createElsewhere({ authority, core, endedPage, endHere }: Parts) {
  /** Asks the authority, with the ticket; nothing, when it can’t be asked. */
  async function ask({ tokens }: Live): Promise<Told> {
    try {
      return await within(PATIENCE, async (signal) => {
        const { ticket } = tokens
        const response = await postForm(`${authority}/v1/ended`, { ticket }, signal)
        return response.ok ? ((await response.json()) as Told) : {}
      })
    } catch {
      return {}
    }
  }

  return {
    ask,
    /** Ends here what the authority or an API refuses. */
    async end(held: Live, known?: Told): Promise<void> {
      // Perhaps it was replaced: then it is not ours any more.
      await core.look()
      if (core.over() || core.held()?.epoch !== held.epoch) return
      const told = known ?? (await ask(held))
      const page = told.page?.startsWith(`${authority}/`) ? told.page : undefined
      const { reason = 'unknown', at = new Date().toISOString() } = told
      // What nobody can say is dead is ended for good.
      await endHere({ reason, at, page, to: endedPage(page) }, told.ended ? undefined : 'user_logout')
    },
  }
}

export type Elsewhere = ReturnType<typeof createElsewhere>
