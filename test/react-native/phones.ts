import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { startExampleApi } from '../../examples/api/api.ts'
import { addAccount } from '../../packages/authority/src/accounts.ts'
import { startFront } from '../browser/front.ts'
import { API, API_GUARD, freePort, startTestAuthority } from '../setup.ts'
import { type App, type Flash, type Launch, launch, newFlash, type Person } from './phone.ts'

export type Phones = Awaited<ReturnType<typeof startPhones>>

/** The authority, an API, a network between them and the phones, and the phones. */
export async function startPhones() {
  const port = await freePort()
  const authority = await startTestAuthority({ issuer: `http://localhost:${port}`, logLevel: 'silent' })
  const front = await startFront(port, Number(new URL(authority.url).port))
  const api = await startExampleApi({
    port: 0,
    issuer: authority.issuer,
    audience: API,
    credentials: API_GUARD,
    origins: [],
  })
  const apps: App[] = []
  const { store, now, feed } = authority.authority

  function start(flash: Flash, more: Partial<Launch> = {}): App {
    const app = launch({ issuer: authority.issuer, api: api.url, flash, ...more })
    apps.push(app)
    return app
  }
  async function signedIn(flash = newFlash(), more: Partial<Launch> = {}) {
    const app = start(flash, more)
    await app.client.ready()
    await app.client.signIn()
    // There is something of the person that can be forgotten.
    assert.match(onFlash(flash), /@example\.com/)
    return { app, flash, sid: sidOf(app) }
  }
  return {
    front,
    start,
    signedIn,
    offline: () => front.when('*', () => 'drop'),
    addPerson: (person: Person) => addAccount(store, person, 'test', Date.now()),
    revocationsOf: (sid: string) =>
      store.read({ kind: 'audit', filter: { event: 'revocation', sid, limit: 100 } }),
    /** Somebody else ends it. */
    async end(sid: string, reason: 'device_removed' | 'token_reuse') {
      const request = { by: { kind: 'session' as const, sid }, actor: 'test', reason } as never
      await store.transact({ kind: 'revoke', request, at: now() })
      await until('the API has heard of it', () => feed.guards().every(({ behind }) => behind === 0))
    },
    /** After a test. */
    rest() {
      front.mend()
      for (const app of apps.splice(0)) app.client.close()
    },
    async stop() {
      await Promise.all([api.close(), front.stop()])
      await authority.stop()
    },
  }
}

export function sidOf(app: App): string {
  const state = app.client.state()
  assert.equal(state.status, 'signed-in')
  return state.status === 'signed-in' ? state.sid : ''
}

/** Calls the API. */
export const ask = (app: App) => app.client.fetch(`${app.api}/notes`)

export async function until(what: string, fits: () => boolean | Promise<boolean>) {
  const end = Date.now() + 15_000
  while (!(await fits())) {
    assert.ok(Date.now() < end, what)
    await sleep(20)
  }
}

/** All logouts of this phone have been confirmed. */
export const delivered = (flash: Flash) =>
  until('the logout is delivered', () => (flash.keychain.get('rescind.outbox') ?? '[]') === '[]')

/** All that is on a phone. */
export const onFlash = ({ keychain, files }: Flash) => JSON.stringify([[...keychain], [...files]])
