/* What is kept, as it is kept. */

export type StoredRecord = { id: string; payload: Uint8Array; consumed?: number }

export type Account = {
  sub: string
  email: string
  name: string
  password: string
  createdAt: number
  /** What was signed in before this, in ms, opens nothing any more; except in this one browser. */
  validAfter?: number
  validBrowser?: string
  /** Its password opens nothing: a new one has to be set through a link that was mailed. */
  resetRequired?: true
  /** Since when somebody should have a look at it, in ms. */
  reviewSince?: number
  /** Since when nobody may sign in, in ms. */
  deactivatedAt?: number
}

export type StoredKey = {
  kid: string
  use: 'signing' | 'secret'
  sealed: Uint8Array
  createdAt: number
  retiredAt?: number
}
