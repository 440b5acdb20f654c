import type { Device, SeenDevice } from '../../domain/device.ts'
import { changed, conflictOf } from '../account-change.ts'
import type { Account, AccountChange, StoredKey } from '../store.ts'
import type { Heads, Reading } from './writes.ts'

const PUT_ACCOUNT = `INSERT INTO accounts
  (sub, email, name, password, created_at, valid_after, valid_browser, reset_required, review_since, deactivated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (sub) DO UPDATE SET
  email = $2, password = $4, valid_after = $6, valid_browser = $7, reset_required = $8, review_since = $9, deactivated_at = $10`

const PUT_DEVICE = `INSERT INTO devices
  (id, sub, name, renamed, browser, os, kind, first_seen, last_seen, address, place)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO UPDATE SET
  name = $3, renamed = $4, browser = $5, os = $6, kind = $7, last_seen = $9, address = $10, place = $11`

/** Accounts and devices: little of it is written, so each write is a statement. */
export function accountTables({ need, writes }: Reading) {
  const accounts = new Map<string, Account>()
  const devices = new Map<string, Device>()
  const { statements } = writes
  const bySub = (sub: string) => accounts.get(sub) ?? need<Account | null>('account', sub) ?? undefined
  function byEmail(email: string): Account | undefined {
    const key = email.toLowerCase()
    const here = [...accounts.values()].find((one) => one.email.toLowerCase() === key)
    const stored = need<Account | null>('email', key)
    return here ?? (stored && !accounts.has(stored.sub) ? stored : undefined)
  }
  function putAccount(account: Account) {
    accounts.set(account.sub, account)
    const { sub, email, name, password, createdAt } = account
    const { validAfter = null, validBrowser = null, resetRequired = null } = account
    const { reviewSince = null, deactivatedAt = null } = account
    const marks = [validAfter, validBrowser, resetRequired, reviewSince, deactivatedAt]
    statements.push([PUT_ACCOUNT, [sub, email, name, password, createdAt, ...marks]])
  }
  const deviceOf = (id: string) => devices.get(id) ?? need<Device | null>('device', id) ?? undefined
  function putDevice(device: Device) {
    devices.set(device.id, device)
    const { id, sub, name, renamed = false, browser = null, os = null, kind } = device
    const { firstSeen, lastSeen, address, place } = device
    statements.push([
      PUT_DEVICE,
      [id, sub, name, renamed, browser, os, kind, firstSeen, lastSeen, address, place],
    ])
  }
  return {
    accountBySub: bySub,
    insertAccount(account: Account): boolean {
      if (byEmail(account.email) || bySub(account.sub)) return false
      putAccount(account)
      return true
    },
    conflictWith: (change: AccountChange) => conflictOf(change, bySub(change.sub), byEmail),
    changeAccount: (change: AccountChange) => putAccount(changed(bySub(change.sub) as Account, change)),

    seeDevice(seen: SeenDevice): boolean {
      const known = deviceOf(seen.id)
      if (known && known.sub !== seen.sub) return false
      const { firstSeen = seen.lastSeen, renamed } = known ?? {}
      putDevice({ ...seen, firstSeen, ...(renamed ? { renamed, name: (known as Device).name } : {}) })
      return known === undefined
    },
    renameDevice(sub: string, id: string, name: string): boolean {
      const known = deviceOf(id)
      if (known?.sub !== sub) return false
      putDevice({ ...known, name, renamed: true })
      return true
    },
  }
}

/** Keys, counters and lists. */
export function keyTables({ need, writes }: Reading, heads: Heads) {
  const { statements, counters } = writes
  return {
    putKey({ kid, use, sealed, createdAt }: StoredKey) {
      heads.keys++
      const sql = 'INSERT INTO keys VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING'
      statements.push([sql, [kid, use, Buffer.from(sealed), createdAt]])
    },
    retireKey(kid: string, at: number) {
      heads.keys++
      statements.push(['UPDATE keys SET retired_at = $1 WHERE kid = $2 AND retired_at IS NULL', [at, kid]])
    },
    dropKey(kid: string) {
      heads.keys++
      statements.push(['DELETE FROM keys WHERE kid = $1', [kid]])
    },
    advance(name: string, by: number): number {
      const before = counters.get(name) ?? need<number | null>('counter', name) ?? 0
      counters.set(name, before + by)
      return before
    },
    keepList(list: number, until: number) {
      const sql = `INSERT INTO status_lists VALUES ($1, $2)
        ON CONFLICT (list) DO UPDATE SET until = greatest(status_lists.until, excluded.until)`
      statements.push([sql, [list, until]])
    },
    forgetLists: (at: number) => void statements.push(['DELETE FROM status_lists WHERE until <= $1', [at]]),
  }
}
