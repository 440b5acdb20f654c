import type { Logger } from 'pino'

/*
 * A deployment's own rules about what is suspicious. They are asked before anything is decided, and may only make it
 * stricter: what the store refuses stays refused.
 */

/**
 * `step-up`: a refresh is refused until the person has signed in again, a sign-in does not count as a recent one.
 * `revoke`: a refresh ends its session as `suspicious_activity`, a sign-in is refused.
 */
export type Verdict = 'allow' | 'step-up' | 'revoke'

export type SignInFacts = {
  /** The account; the password was right. */
  sub: string
  clientId?: string
  /** The id of the device, if it is known. */
  device?: string
  address: string
  /** Of a sign-in: where the one before came from. Of a refresh: where its client was before. */
  previousAddress?: string
  userAgent: string
  /** In ms. */
  at: number
  /** Failed sign-ins on the account in the last hour. */
  recentFailures: number
}

export type RefreshFacts = SignInFacts & { sid: string; clientId: string }

export type Hooks = {
  onSignIn?(facts: SignInFacts): Verdict | Promise<Verdict>
  onRefresh?(facts: RefreshFacts): Verdict | Promise<Verdict>
}

/** A hook that takes longer, in ms, is not waited for. */
const PATIENCE = 1_000
const VERDICTS: readonly unknown[] = ['allow', 'step-up', 'revoke']

/**
 * What a hook says. One that throws, takes too long or says something else allows, and the log has it: a rule that is
 * broken must not lock everybody out.
 */
export async function verdictOf<F>(
  hook: ((facts: F) => Verdict | Promise<Verdict>) | undefined,
  facts: F,
  log: Logger,
): Promise<Verdict> {
  if (!hook) return 'allow'
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`it took longer than ${PATIENCE} ms`)), PATIENCE)
    })
    const verdict = await Promise.race([hook(facts), late])
    if (VERDICTS.includes(verdict)) return verdict
    throw new Error('it said neither allow, step-up nor revoke')
  } catch (error) {
    // It may have thrown anything, `undefined` too.
    log.error({ hook: hook.name, error: `${(error as Error)?.message}` }, 'a hook failed, so it allowed')
    return 'allow'
  } finally {
    clearTimeout(timer)
  }
}
