import type { Platform, QueuedLogout } from './platform.ts'
import { postForm } from './post-form.ts'
import { judge } from './receipt.ts'
import { within } from './within.ts'

/** What became of a logout that was tried. */
export type Delivery = {
  sid: string
  server: 'confirmed' | 'already-revoked' | 'queued'
  /** What was wrong with the answer, where there was one. */
  why?: string
}

/** For one attempt, in ms. */
const PATIENCE = 10_000
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60 * 60_000
/** No session lives this long, so no ticket is worth more, in ms. */
const MAX_AGE = 100 * 86_400_000

type Parts = Pick<Platform, 'lock'> & {
  store: Pick<Platform['store'], 'queued' | 'queue' | 'unqueue'>
  authority: string
  clientId: string
  /** Hears what became of each attempt. */
  tell?(delivery: Delivery): void
}

export type Outbox = {
  /**
   * Tries what is due: everything when something has changed (`woken`), but what the authority put off.
   * @param first the session whose logout is tried in any case
   * @returns what became of that one; `already-revoked` when it is not there any more
   */
  deliver(options?: { first?: string; woken?: boolean }): Promise<Delivery | undefined>
  /** Tries one that could not be queued. */
  send(logout: QueuedLogout): Promise<Delivery>
  /** No more attempts by itself. */
  stop(): void
}

/** Logouts that wait for the authority: they go out one way, each until it is proven that the session is dead. */
export function createOutbox({ store, lock, authority, clientId, tell = () => {} }: Parts): Outbox {
  let timer: ReturnType<typeof setTimeout> | undefined
  let stopped = false

  async function send({ sid, ticket, reason }: QueuedLogout): Promise<Delivery & { after?: number }> {
    try {
      return await within(PATIENCE, async (signal) => {
        const sent = { client_id: clientId, token: ticket, reason }
        const verdict = await judge(await postForm(`${authority}/oauth/revoke`, sent, signal), sid)
        // Whoever says so has to stand by it: a cache or a proxy knows nothing of the next question.
        if (verdict.server !== 'queued') {
          const asked = await postForm(`${authority}/v1/ended`, { ticket }, signal)
          if (((await asked.json()) as { ended?: unknown }).ended !== true) throw new Error('it still lives')
        }
        return { sid, ...verdict }
      })
    } catch (error) {
      return { sid, server: 'queued', why: (error as Error).message }
    }
  }

  /** One at a time of a session, over all tabs: who had to wait may find that it is done. */
  function tryOne(sid: string, wanted: (logout: QueuedLogout) => boolean): Promise<Delivery> {
    return lock(`logout ${sid}`, async () => {
      const logout = (await store.queued()).find((one) => one.sid === sid)
      if (!logout) return { sid, server: 'already-revoked' }
      if (!wanted(logout)) return { sid, server: 'queued' }
      const { after, ...delivery } = await send(logout)
      if (delivery.server === 'queued' && Date.now() - logout.at < MAX_AGE)
        await store.queue(putOff(logout, after))
      else await store.unqueue(sid)
      tell(delivery)
      return delivery
    })
  }

  const outbox: Outbox = {
    async deliver({ first, woken } = {}) {
      const wanted = (one: QueuedLogout) => one.sid === first || isDue(one, woken)
      const due = (await store.queued()).filter(wanted).map(({ sid }) => sid)
      const sids = new Set(first === undefined ? due : [first, ...due])
      const tried = await Promise.all([...sids].map((sid) => tryOne(sid, wanted)))
      plan(await store.queued())
      return tried.find(({ sid }) => sid === first)
    },
    send,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }

  function plan(waiting: QueuedLogout[]) {
    clearTimeout(timer)
    if (stopped || waiting.length === 0) return
    const next = Math.min(...waiting.map(({ notBefore }) => notBefore)) - Date.now()
    timer = setTimeout(
      () => outbox.deliver().catch(() => {}),
      Math.min(Math.max(next, 0) + 50, LONGEST_PAUSE),
    )
  }

  return outbox
}

/** A logout that has not been tried. */
export function logoutOf(ticket: string, sid: string, reason = 'user_logout'): QueuedLogout {
  return { sid, ticket, reason, at: Date.now(), attempts: 0, notBefore: 0 }
}

function isDue({ notBefore, asked, tried = 0 }: QueuedLogout, woken?: boolean): boolean {
  const left = notBefore - Date.now()
  // A clock that was set back must not keep anything waiting; and all tabs wake at once.
  return (
    left <= 0 ||
    left > LONGEST_PAUSE ||
    (woken === true && !asked && Math.abs(Date.now() - tried) > FIRST_PAUSE)
  )
}

function putOff(logout: QueuedLogout, after: number | undefined): QueuedLogout {
  const pause = Math.min(after ?? FIRST_PAUSE * 2 ** Math.min(logout.attempts, 12), LONGEST_PAUSE)
  // Many devices that come back after one outage don't come back at once.
  const notBefore = Date.now() + (after === undefined ? pause * (0.5 + Math.random() / 2) : pause)
  return {
    ...logout,
    attempts: logout.attempts + 1,
    tried: Date.now(),
    notBefore,
    asked: after !== undefined,
  }
}
