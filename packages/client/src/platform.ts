/* What the core needs from where it runs: a browser, or React Native. */

/** What one sign-in gave this device. */
export type Tokens = {
  accessToken: string
  /** When it expires by this device's clock, in ms. */
  expiresAt: number
  refreshToken?: string
  /** The logout ticket: the one thing it can do is end this session. */
  ticket: string
  /** What the ID token says of the person. */
  claims: Claims
  /** The key that the tokens are bound to (RFC 9449), where they are. */
  proof?: unknown
  /** How far the authority’s clock is ahead of this device’s, in s, where that matters. */
  skew?: number
}

export type Claims = { sub: string; sid: string; [name: string]: unknown }

/** How a session ended, as it is kept for tabs that were asleep. */
export type Ended = {
  /** `user_logout`, `device_removed`, `password_change`, …; `unknown` where nobody could say. */
  reason: string
  /** ISO 8601. */
  at: string
  /** Where the authority tells the person why, for a quarter of an hour. */
  page?: string
  /** Where the app goes; `false`: it stays. */
  to: string | false
}

/** What is stored. Each end and each sign-in is the next epoch; each change the next version. */
export type Held = { epoch: number; version: number; tokens?: Tokens; ended?: Ended }

/** A logout that the authority has not confirmed. It holds the ticket, never a token. */
export type QueuedLogout = {
  sid: string
  ticket: string
  reason: string
  /** When it was queued, in ms. */
  at: number
  attempts: number
  /** When it was last tried, in ms. */
  tried?: number
  /** Not to be tried before, in ms; `asked`: because the authority said so. */
  notBefore: number
  asked?: boolean
}

/** Keeps the session of this device, and the logouts that wait. Each method is atomic over all tabs, and durable. */
export type SessionStore = {
  /** @param known what the caller has: if it is still so, it is given back as it is */
  read(known?: Held): Promise<Held>
  /** Keeps what a refresh brought. @returns nothing when the epoch is not `epoch` any more: then nothing is kept */
  save(tokens: Tokens, epoch: number): Promise<Held | undefined>
  /** Keeps a new sign-in, and queues the logout of the one it replaces; on the same condition as `save`. */
  open(tokens: Tokens, epoch: number): Promise<Held | undefined>
  /**
   * Ends what is there: the next epoch, and nothing of the session is left but its ticket in the queue.
   * @param epoch only if it is still that; nothing: whatever is there
   * @param reason why, for the authority; nothing, when it knows
   */
  end(ended: Ended, epoch: number | undefined, reason?: string): Promise<QueuedLogout | undefined>
  queued(): Promise<QueuedLogout[]>
  queue(logout: QueuedLogout): Promise<void>
  unqueue(sid: string): Promise<void>
}

/** One thing that is cleared at a logout. */
export type ClearStep = { name: string; run(): unknown }

export type Platform = {
  store: SessionStore
  /** Runs one at a time of a name, over all tabs. */
  lock<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** Gets the next tokens. @throws RescindClientError REFUSED, when the authority says that there are none */
  refresh(tokens: Tokens, signal: AbortSignal): Promise<Tokens>
  /** Sends a request with its token, and proof. */
  send(request: Request, tokens: Tokens): Promise<Response>
  /** What is cleared here; `everywhere` is what all tabs share too. */
  clearing(everywhere: boolean, ended: Ended): ClearStep[]
  /** Clears once more what others may have filled again: what was on its way into a cache when the session ended. */
  sweep?(): unknown
  /** A signal that aborts with either, until it is released. */
  either(a: AbortSignal, b: AbortSignal): { signal: AbortSignal; release(): void }
  /** Lets the other tabs look at the store. */
  tellTabs(): void
  /** Asks to be woken when the network is back, where something can do that. */
  queued?(): unknown
  go(to: string): void
}
