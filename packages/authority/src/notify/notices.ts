import type { Authority, Notices } from '../authority.ts'
import type { DueDelivery } from '../store/deliveries.ts'
import { anyWantsLogouts } from './clients.ts'
import { createFollower, type Follower } from './follow.ts'
import { createMailer } from './mail.ts'
import { createOutbox } from './outbox.ts'
import { sendLogout, sendWebhook } from './send.ts'

/** How often the log and the outbox are looked at even when nothing woke us, in ms. */
const LOOK = 1_000
/** Revocations that come within this time are looked at together, in ms. */
const TOGETHER = 20

type Counters = {
  noticed(kind: string, result: string): void
}

/**
 * Tells people and systems outside what happened: a follower of the audit log queues, an outbox sends. Nothing of it is
 * on the way of a revocation, which neither waits for it nor can be undone by it.
 */
export async function startNotices(authority: Authority, metrics: Counters): Promise<Notices> {
  const { config, store, log } = authority
  const { webhooks, mail } = config
  let wantsLogouts = await anyWantsLogouts(authority)
  let stopped = false
  const asleep = () => webhooks.length === 0 && !mail && !wantsLogouts
  const begin = () => createFollower(authority, { asleep, stopped: () => stopped })
  // Also where another process follows: where it begins on the very first start is decided before anything happens.
  let follower: Follower | undefined = await begin()
  const mailer = createMailer(config)
  const senders = { webhook: sendWebhook, backchannel_logout: sendLogout, mail: mailer.send }
  const settled = ({ kind }: DueDelivery, result: string) => metrics.noticed(kind, result)
  const outbox = createOutbox(authority, senders, settled)
  let looking: Promise<void> | undefined
  let again = false
  let soon: NodeJS.Timeout | undefined

  async function look() {
    while (again && !stopped) {
      again = false
      // What another one has done meanwhile is read anew.
      if (!store.leads()) follower = undefined
      if (!store.leads()) continue
      try {
        follower ??= await begin()
        await follower.follow()
      } catch (error) {
        log.warn({ error: (error as Error).message }, 'the audit log could not be followed')
      }
      await outbox.pump()
    }
  }
  function wake() {
    again = true
    looking ??= look().finally(() => {
      looking = undefined
      if (again && !stopped) wake()
    })
  }
  const timer = setInterval(wake, LOOK)
  timer.unref()
  store.onRevocation(() => {
    if (asleep() || stopped) return
    soon ??= setTimeout(() => {
      soon = undefined
      wake()
    }, TOGETHER)
  })
  store.onOutsideChange(async (what) => {
    if (what === 'clients' && !wantsLogouts)
      wantsLogouts = await anyWantsLogouts(authority).catch(() => wantsLogouts)
    wake()
  })
  wake()
  return {
    expectLogouts(uri) {
      if (uri !== undefined) wantsLogouts = true
    },
    dropped: (what) => metrics.noticed('mail', `dropped_${what}`),
    async stop() {
      stopped = true
      clearInterval(timer)
      clearTimeout(soon)
      await looking
      await outbox.stop()
      mailer.close()
      if (store.leads()) await follower?.rest().catch(() => {})
    },
  }
}
