import { createRevocationView } from '@rescind/guard/view'
import type { Authority } from './authority.ts'
import { longestToken } from './domain/policy.ts'
import { createEvents } from './events.ts'
import { answerOthers } from './everywhere.ts'
import { createFailures } from './failures.ts'
import { createCutOffMarks } from './feed/cut-off-marks.ts'
import { createFeed, type Feed } from './feed/feed.ts'
import { createIndexes } from './feed/indexes.ts'
import { createStatusLists } from './feed/status-list.ts'
import { createHealth } from './health.ts'
import { followKeys } from './keys/follow.ts'
import { verifierOf } from './keys/verifier.ts'
import { createLastSeen } from './last-seen.ts'
import { createLimits, createSpending } from './limits.ts'
import { createWatch } from './live/watch.ts'
import type { Metrics } from './metrics.ts'
import { createOrigins, loadOrigins } from './oauth/cors.ts'
import { mountProvider } from './oauth/provider.ts'
import { createProcesses } from './processes.ts'
import { createListener } from './server.ts'
import { shareFailures, shareLimits } from './shared-limits.ts'

/** What it is put together from. */
export type Base = Pick<Authority, 'config' | 'store' | 'seal' | 'now' | 'log' | 'tracing'>

/** Puts an authority together, which follows what other processes change of keys and clients. */
export async function assemble(base: Base, metrics: Metrics): Promise<Authority> {
  const { config, store, now, log } = base
  const { ring, readAgain, caughtUp } = await followKeys(base, () => {
    authority.verifier.forget()
    authority.lateVerifier.forget()
    authority.remount()
    authority.feed.announceKeys()
  })
  const ttl = longestToken(config.policy)
  const life = ttl * 1000
  const view = createRevocationView(config.issuer)
  const indexes = await createIndexes({ store, ttl, now })
  view.bits.retire(indexes.firstList)
  const cutOffMarks = createCutOffMarks(store, view.bits, now)
  const lists = { issuer: config.issuer, bits: view.bits, indexes, now, ring }
  const services = { ...base, view, indexes, ring }
  const authority = Object.assign(services, {
    verifier: verifierOf(config.issuer, now, () => ring().verification, caughtUp, life),
    lateVerifier: verifierOf(config.issuer, now, () => ring().everSigned, caughtUp, life),
    cutOffMarks,
    statusLists: createStatusLists({ ...lists, head: () => cutOffMarks.known(authority.feed.head) }),
    ...{ watch: createWatch(now), origins: createOrigins(), failures: createFailures(now) },
    provider: () => mounted,
    caughtUp,
    remount() {
      mounted = mountProvider(authority)
    },
  }) as unknown as Authority
  authority.lastSeen = createLastSeen({ store, now, log })
  authority.feed = await openFeed(authority, metrics)
  share(authority)
  authority.events = createEvents(authority)
  authority.health = createHealth(store)
  let mounted = mountProvider(authority)
  authority.listener = createListener(authority)
  let registered: Promise<void> = Promise.resolve()
  authority.clientsCaughtUp = async () => {
    await store.caughtUp()
    await registered
  }
  store.onOutsideChange((what) => {
    if (what === 'set-back') return authority.health.fail('the database was set back; restart this process')
    if (what === 'keys') void readAgain()
    else registered = registered.then(() => loadOrigins(authority)).catch(() => {})
  })
  // From here on a change is heard of; what another process has added since the keys were read was not.
  if (config.store !== undefined) {
    await store.caughtUp()
    await readAgain()
  }
  return authority
}

async function openFeed(authority: Authority, metrics: Metrics): Promise<Feed> {
  const { config, store, now, ring, indexes, watch, lastSeen, caughtUp } = authority
  const { seq, tag } = await store.read({ kind: 'head' })
  return createFeed({
    ...{ store, head: { seq, tag }, now, resources: config.resources, trustProxy: config.trustProxy },
    kids: () => ring().jwks.map(({ kid }) => kid),
    firstList: () => indexes.firstList,
    caughtUp,
    onAcknowledged(seconds, guard) {
      metrics.acknowledged(seconds)
      watch.acknowledged(seconds, guard)
    },
    onSeen: lastSeen.hear,
  })
}

/** What is one for all processes: their guards, and what strangers may try. */
function share(authority: Authority) {
  const { store, config, now, failures } = authority
  authority.processes = createProcesses(store, () => authority.feed.counts())
  answerOthers(authority)
  const spending = config.store === undefined ? undefined : createSpending()
  authority.limits = createLimits(now, spending)
  if (!spending) return
  shareLimits(spending, authority.processes)
  shareFailures(failures, authority.processes)
}
