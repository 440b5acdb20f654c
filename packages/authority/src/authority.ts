import type { RequestListener } from 'node:http'
import type { Verifier } from '@rescind/guard/verify'
import type { RevocationView } from '@rescind/guard/view'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { Indexes } from './feed/indexes.ts'
import type { StatusLists } from './feed/status-list.ts'
import type { KeyRing } from './keys/ring.ts'
import type { Seal } from './keys/seal.ts'
import type { Limits } from './limits.ts'
import type { Origins } from './oauth/cors.ts'
import type { MountedProvider } from './oauth/provider.ts'
import type { Store } from './store/store.ts'

/** What every edge of a running authority works with. */
export type Authority = {
  config: Config
  store: Store
  seal: Seal
  /** The keys as they are now; a rotation replaces them while we run. */
  ring(): KeyRing
  provider(): MountedProvider
  /** Verifies the access tokens that we issued. */
  verifier: Verifier
  /** Every revocation that can still matter, in memory: the same view that a guard holds. */
  view: RevocationView
  indexes: Indexes
  statusLists: StatusLists
  limits: Limits
  /** The web origins of registered clients. */
  origins: Origins
  /** Serves a request: what the HTTP server calls, and what the tools go through. */
  listener: RequestListener
  /** The time in ms. */
  now(): number
  log: Logger
}
