import { z } from 'zod'
import type { Authority } from './authority.ts'
import type { LoggedRevocation } from './domain/revocation.ts'
import { type Confirmation, shortened } from './feed/confirm.ts'
import type { GuardState } from './feed/feed.ts'
import type { Confirmations, Watched } from './live/watch.ts'

/* What is known of the guards of all processes: each is connected to one of them. */

/** An answer that is only looked at is waited for so long, in ms. */
const LOOK = 1_000
const PAGE = 1_000

const confirmation = z.object({ after: z.number(), upTo: z.number(), ms: z.number() })
/** How many guards of each client a process says that it has. */
export const hello = z.record(z.string(), z.number())

/** Answers what other processes ask about the guards that are connected here. */
export function answerOthers({ processes, store, feed, watch }: Authority): void {
  processes.answer('guards', async () => feed.guards())
  processes.answer('confirmations', async () => watch.seen().confirmations)
  processes.answer('confirm', async (asked) => {
    const { after, upTo, ms } = confirmation.parse(asked)
    const some = await store.read({ kind: 'revocations', after, limit: Math.min(PAGE, upTo - after) })
    return feed.confirm(some, ms)
  })
}

/** The guards that are connected to any process, and what they have applied. */
export async function guardsEverywhere({ feed, processes }: Authority): Promise<GuardState[]> {
  const { answers } = await processes.ask('guards', {}, LOOK)
  return [...feed.guards(), ...(answers as GuardState[][]).flat()]
}

/** What the live view shows, with how long the guards of other processes took. */
export async function watchedEverywhere({ watch, processes }: Authority): Promise<Watched> {
  const { answers } = await processes.ask('confirmations', {}, LOOK)
  const own = watch.seen()
  return { ...own, confirmations: [...own.confirmations, ...(answers as Confirmations[][]).flat()] }
}

/**
 * Resolves when every guard concerned, of all processes, has applied these revocations or is gone, or after `ms`. The guards of
 * a process that says nothing are counted among those that are waited for.
 */
export async function confirmEverywhere(
  { feed, processes }: Authority,
  revocations: LoggedRevocation[],
  ms: number,
): Promise<Confirmation> {
  if (revocations.length === 0) return feed.confirm(revocations, ms)
  const seqs = revocations.map(({ seq }) => seq)
  const asked = { after: Math.min(...seqs) - 1, upTo: Math.max(...seqs), ms }
  const [own, { answers, silent }] = await Promise.all([
    feed.confirm(revocations, ms),
    processes.ask('confirm', asked, ms),
  ])
  if (answers.length === 0 && silent.length === 0) return own
  const all = [own, ...(answers as Confirmation[])]
  const unknown = silent.flatMap((said) => Object.entries(hello.catch({}).parse(said)))
  const concerned = unknown.filter(([clientId]) => feed.concerns(clientId, revocations))
  return shortened(
    all.flatMap(({ confirmed }) => confirmed),
    all.flatMap(({ waiting }) => waiting),
    {
      confirmed: all.reduce((sum, { more }) => sum + (more?.confirmed ?? 0), 0),
      waiting:
        all.reduce((sum, { more }) => sum + (more?.waiting ?? 0), 0) +
        concerned.reduce((sum, [, count]) => sum + count, 0),
    },
  )
}
