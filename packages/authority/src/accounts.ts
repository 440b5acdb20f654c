import { argon2, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { RescindError } from './errors.ts'
import type { Account, Store } from './store/store.ts'

const derive = promisify(argon2)

/** OWASP's second recommendation for argon2id: 19 MiB, 2 passes, 1 lane. */
const COST = { parallelism: 1, tagLength: 32, memory: 19_456, passes: 2 }
export const MIN_PASSWORD = 8
export const MAX_PASSWORD = 1024

/** Hashes a password with argon2id (RFC 9106), in the PHC string format. */
export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(16)
  const tag = await derive('argon2id', { message: password.normalize('NFKC'), nonce, ...COST })
  const encode = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$${encode(nonce)}$${encode(tag)}`
}

/** Whether the password is the one that was hashed; compared in constant time. */
export async function verifyPassword(password: string, hashed: string): Promise<boolean> {
  const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(hashed)
  if (!found) return false
  const [, memory, passes, parallelism, nonce, tag] = found
  const expected = Buffer.from(tag as string, 'base64')
  const actual = await derive('argon2id', {
    message: password.normalize('NFKC'),
    nonce: Buffer.from(nonce as string, 'base64'),
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    tagLength: expected.length,
  })
  return timingSafeEqual(actual, expected)
}

/** What an unknown account's password is checked against, so that it takes as long as a known one's. */
const decoy = hashPassword(randomBytes(16).toString('hex'))

/** Whether a password is an account's; it takes as long when there is no account. */
export async function knowsPassword(account: Account | undefined, password: string): Promise<boolean> {
  const right = await verifyPassword(password.slice(0, MAX_PASSWORD), account?.password ?? (await decoy))
  return right && account !== undefined
}

/**
 * Adds an account.
 * @param now the time in ms
 * @throws RescindError VALIDATION_ERROR
 */
export async function addAccount(
  store: Store,
  { email, name, password }: { email: string; name: string; password: string },
  actor: string,
  now: number,
): Promise<Account> {
  checkPassword(password)
  checkEmail(email)
  const account = { sub: randomUUID(), email, name, password: await hashPassword(password), createdAt: now }
  const audit = { event: 'account.created' as const, at: now, actor, sub: account.sub }
  const outcome = await store.transact({ kind: 'add-account', account, audit })
  if (outcome.kind !== 'written')
    throw new RescindError('VALIDATION_ERROR', 'An account with that e-mail exists.')
  return account
}

/**
 * Sets an account's password from the command line, and ends every session that was opened with the old one.
 * @param now the time in ms
 * @throws RescindError VALIDATION_ERROR, NOT_FOUND
 */
export async function setPassword(store: Store, email: string, password: string, actor: string, now: number) {
  checkPassword(password)
  const account = await store.read({ kind: 'account', email })
  if (!account) throw new RescindError('NOT_FOUND', 'There is no account with that e-mail.')
  const { sub } = account
  const hashed = await hashPassword(password)
  const outcome = await store.transact({
    kind: 'revoke',
    request: { by: { kind: 'account', sub }, reason: 'password_change', actor },
    account: { sub, password: hashed, resetRequired: false, validAfter: now },
    audit: [{ event: 'account.password_set', at: now, actor, sub }],
    at: now,
  })
  if (outcome.kind !== 'revoked')
    throw new RescindError('NOT_FOUND', 'The account has changed meanwhile. Try again.')
}

/** @throws RescindError VALIDATION_ERROR */
export function checkPassword(password: string) {
  if (password.length < MIN_PASSWORD || password.length > MAX_PASSWORD) {
    throw new RescindError(
      'VALIDATION_ERROR',
      `A password has ${MIN_PASSWORD} to ${MAX_PASSWORD} characters.`,
    )
  }
}

/** @throws RescindError VALIDATION_ERROR */
export function checkEmail(email: string) {
  // What a mail program would read as a second address, or as the end of this one, is in none.
  if (!/^[^\s@<>,;"\p{C}]{1,64}@[^\s@<>,;"\p{C}]{1,189}$/u.test(email)) {
    throw new RescindError('VALIDATION_ERROR', 'That is not an e-mail address.')
  }
}
