import type { Authority } from './authority.ts'
import { confirmEverywhere } from './everywhere.ts'
import type { Done, Told } from './pages/told.ts'
import type { RevokeOutcome } from './store/store.ts'

/*
 * What a page tells of what its form has done. It travels in the address of that page, sealed for whoever did it:
 * nobody else makes the page say anything.
 */

/** The page waits so long for services to confirm what was ended, in ms. */
const CONFIRM = 2_000
/** What was done is told for so long, in ms. */
const GOOD_FOR = 60_000
const MOST = 2_000
const CONTEXT = 'told'

/** What ended, when, and how many services have confirmed it within two seconds. */
export async function doneWith(authority: Authority, outcomes: RevokeOutcome[]): Promise<Done> {
  const revocations = outcomes.flatMap((one) => (one.kind === 'revoked' ? one.revocations : []))
  const at = Math.max(...revocations.map((one) => one.at))
  const { confirmed, waiting, more } = await confirmEverywhere(authority, revocations, CONFIRM)
  const yes = confirmed.length + (more?.confirmed ?? 0)
  return {
    at: revocations.length === 0 ? authority.now() : at,
    ended: revocations.length,
    ...{ confirmed: yes, services: yes + waiting.length + (more?.waiting ?? 0) },
  }
}

/** The address of a page that tells it. */
export function telling({ seal, now }: Authority, path: string, who: string, told: Told): string {
  const sealed = seal.close(JSON.stringify({ told, who, until: now() + GOOD_FOR }), CONTEXT)
  return `${path}?told=${Buffer.from(sealed).toString('base64url')}`
}

/**
 * What the address of a page tells; nothing, when it is none of ours, too old, or somebody else’s.
 * @param who is signed in, if somebody is: to nobody it may be told too, as it names nobody
 */
export function toldIn({ seal, now }: Authority, { searchParams }: URL, who?: string): Told | undefined {
  const sealed = searchParams.get('told')
  if (!sealed || sealed.length > MOST) return undefined
  try {
    const known = JSON.parse(seal.open(Buffer.from(sealed, 'base64url'), CONTEXT))
    return now() < known.until && (who === undefined || known.who === who) ? known.told : undefined
  } catch {
    return undefined
  }
}
