import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Verifier } from '@rescind/guard/verify'
import type { RevocationView } from '@rescind/guard/view'
import type { Provider } from 'oidc-provider'
import type { Logger } from 'pino'
import type { ClientConfig, Config } from './config.ts'
import type { LoggedRevocation } from './domain/ending.ts'
import type { Failures } from './failures.ts'
import type { CutOffMarks } from './feed/cut-off-marks.ts'
import type { Feed } from './feed/feed.ts'
import type { Indexes } from './feed/indexes.ts'
import type { StatusLists } from './feed/status-list.ts'
import type { Health } from './health.ts'
import type { Hooks } from './hooks.ts'
import type { KeyRing } from './keys/ring.ts'
import type { Seal } from './keys/seal.ts'
import type { LastSeen } from './last-seen.ts'
import type { Limits } from './limits.ts'
import type { Watch } from './live/watch.ts'
import type { Locate } from './places.ts'
import type { Processes } from './processes.ts'
import type { Store } from './store/store.ts'
import type { Tracing } from './tracing/tracing.ts'

/** The web origins of registered clients. */
export type Origins = {
  add(redirectUris: readonly string[]): void
  /** Those of the configuration, in place of what it had before. */
  configure(clients: ClientConfig[]): void
  has(origin: string): boolean
}

/** What is told to people and systems outside, after the fact. */
export type Notices = {
  /** A client has registered, perhaps with a URI for back-channel logout. */
  expectLogouts(uri: string | undefined): void
  /** Counts a mail that was over its budget. */
  dropped(mail: string): void
  stop(): Promise<void>
}

export type Client = NonNullable<Awaited<ReturnType<Provider['Client']['find']>>>

/** The protocol library, mounted: everything of OAuth and OIDC that is not about ending sessions. */
export type MountedProvider = {
  provider: Provider
  /** Serves one request; the answer is sent only after everything it wrote is durable. */
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** A registered client: from the configuration, registered dynamically, or by its metadata document. */
  find(clientId: string): Promise<Client | undefined>
}

/** `GET /v1/events`: what happens to the sessions of an account, told to those that are still signed in. */
export type Events = {
  /** @throws RescindError AUTHENTICATION_FAILED, RATE_LIMITED, UNAVAILABLE */
  endpoint(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Takes a revocation that was committed. */
  hear(revocation: LoggedRevocation): void
  close(): void
}

/** What every edge of a running authority works with. */
export type Authority = {
  config: Config
  store: Store
  seal: Seal
  /** The keys as they are now; a rotation replaces them while we run. */
  ring(): KeyRing
  provider(): MountedProvider
  /** Builds it anew, as the configuration and the keys are now. */
  remount(): void
  /**
   * Resolves once all that any process had committed by then is known here: what was revoked, and which keys there are. Who is about
   * to say that a token lives waits for it before the token is verified.
   * @throws StoreUnavailable
   */
  caughtUp(): Promise<void>
  /** Verifies the access tokens that we issued and that may still live. */
  verifier: Verifier
  /** Knows every token that we ever issued: only for killing it. */
  lateVerifier: Verifier
  /** Every revocation that can still matter, in memory: the same view that a guard holds. */
  view: RevocationView
  indexes: Indexes
  statusLists: StatusLists
  /** What cut-offs have still to set in the lists. */
  cutOffMarks: CutOffMarks
  /** The guards that are connected. */
  feed: Feed
  /** The other processes that run on the same store. */
  processes: Processes
  /** Who listens to what happens to their account. */
  events: Events
  /** When APIs last saw sessions. */
  lastSeen: LastSeen
  limits: Limits
  /** What the live view shows. */
  watch: Watch
  /** Failed sign-ins, by account. */
  failures: Failures
  /** The deployment's own rules. */
  hooks: Hooks
  /** Says where an address is, if the deployment has something that knows. */
  locate?: Locate
  /** What is told to people and systems outside. */
  notices: Notices
  /** The web origins of registered clients. */
  origins: Origins
  /** Resolves once the clients that other processes have registered by then are known here. */
  clientsCaughtUp(): Promise<void>
  /** Whether it can serve. */
  health: Health
  /** Where its spans go; nothing, where it is not traced. */
  tracing?: Tracing
  /** Serves a request: what the HTTP server calls, and what the tools go through. */
  listener: RequestListener
  /** The time in ms. */
  now(): number
  log: Logger
}
