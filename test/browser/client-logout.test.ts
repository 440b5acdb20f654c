import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { addAccount } from '../../packages/authority/src/accounts.ts'
import { launchChromium, launchProfile } from '../chromium.ts'
import { refresh } from '../sign-in.ts'
import { dump, run, secretsOf, signIn, startWorld, tokensOf, until, type World } from './world.ts'

/* What becomes of a logout in a real browser, whatever the network and the servers do. Counted at the authority. */

type Result = { local: string; server: string; failures: { step: string; message: string }[] }

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const LOGOUT = 'return await client.logout({ redirectTo: false })'

describe('logging out in a browser', () => {
  let world: World
  let browser: Browser
  let context: BrowserContext
  before(async () => {
    world = await startWorld()
    browser = await launchChromium()
    await addAccount(world.authority.authority.store, BOB, 'test', Date.now())
  })
  afterEach(async () => {
    world.front.mend()
    await context.close()
  })
  after(async () => {
    await browser.close()
    await world.stop()
  })

  async function open(): Promise<Page> {
    context = await browser.newContext()
    const page = await context.newPage()
    await signIn(world, page)
    return page
  }
  /** The revocations of one session; each is one record of the audit log. */
  const revocationsOf = async (sid: string) => (await world.revocations()).filter((one) => one.sid === sid)
  const waiting = (page: Page) => run<number>(page, 'return (await app.outbox()).length')
  /** Waits until nothing is left to deliver. */
  const delivered = (page: Page) => until(page, 'app.outbox().then((all) => all.length === 0)')
  const apiSays = async (token: string) =>
    (await fetch(`${world.api}/notes`, { headers: { authorization: `DPoP ${token}` } })).status

  it('online: both tokens are refused, the receipt fits, and the app is at /login', async () => {
    const page = await open()
    const { sid, accessToken, refreshToken } = await secretsOf(page)
    const heard = page.waitForEvent('console', (message) => message.text().startsWith('delivery'))
    await run(page, 'client.on("delivery", (d) => console.log("delivery " + JSON.stringify(d)))')
    const answer = page.waitForResponse(`${world.authority.issuer}/oauth/revoke`)
    await run(page, 'client.logout()')
    const receipt = await (await answer).json()
    assert.deepEqual(JSON.parse((await heard).text().slice(9)), { sid, server: 'confirmed' })
    await page.waitForURL(`${world.app}/login`)
    const [record, ...more] = await revocationsOf(sid)
    assert.equal(more.length, 0)
    assert.equal(record?.reason, 'user_logout')
    assert.deepEqual(
      receipt.ended.map((one: { sid: string; seq: number }) => [one.sid, one.seq]),
      [[sid, record?.seq]],
    )
    assert.equal((await refresh(world.authority.issuer, refreshToken, 'spa')).status, 400)
    const { authority } = world.authority
    assert.equal((await authority.store.read({ kind: 'session', sid }))?.ended?.reason, 'user_logout')
    assert.equal(await apiSays(accessToken), 401)
    await until(page, 'app.done')
    assert.equal(await run(page, 'return client.state().status'), 'ended')
  })

  it('offline, reload, online: exactly one revocation, and one record of it', async () => {
    const page = await open()
    await run(page, 'await app.install()')
    const { sid } = await tokensOf(page)
    await context.setOffline(true)
    const result = await run<Result>(page, LOGOUT)
    assert.deepEqual([result.local, result.server], ['cleared', 'queued'])
    await page.reload()
    await until(page, 'app.done')
    assert.equal(await waiting(page), 1)
    assert.equal((await revocationsOf(sid)).length, 0)
    await context.setOffline(false)
    await delivered(page)
    assert.equal((await revocationsOf(sid)).length, 1)
    await page.reload()
    await until(page, 'app.done')
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('offline, the app still gets to /login, from its own cache', async () => {
    const page = await open()
    await run(page, 'await app.install()')
    await context.setOffline(true)
    await run(page, 'client.logout()')
    await page.waitForURL(`${world.app}/login`)
    await until(page, 'app.done')
    assert.equal(await run(page, 'return client.state().status'), 'ended')
    await context.setOffline(false)
    await delivered(page)
  })

  it('offline, the browser is closed and opened again: it is delivered then', async () => {
    const profile = mkdtempSync(join(tmpdir(), 'rescind-profile-'))
    try {
      context = await launchProfile(profile)
      const page = context.pages()[0] ?? (await context.newPage())
      await signIn(world, page)
      const { sid } = await tokensOf(page)
      world.front.when('*', () => 'drop')
      assert.equal((await run<Result>(page, LOGOUT)).server, 'queued')
      await context.close()
      assert.equal((await revocationsOf(sid)).length, 0)
      world.front.mend()
      context = await launchProfile(profile)
      const again = await context.newPage()
      await again.goto(`${world.app}/login`)
      await until(again, 'globalThis.app')
      await delivered(again)
      assert.equal((await revocationsOf(sid)).length, 1)
    } finally {
      await context.close()
      rmSync(profile, { recursive: true, force: true })
    }
  })

  it('offline, no storage keeps a token or anything of the person; only the ticket is left', async () => {
    const page = await open()
    await run(page, 'await app.fill()')
    const secrets = await secretsOf(page)
    const before = await dump(context, page)
    assert.match(before, /private data of the person/)
    world.front.when('*', () => 'drop')
    await run(page, LOGOUT)
    const after = await dump(context, page)
    for (const secret of [
      secrets.accessToken,
      secrets.refreshToken,
      'private data',
      'private%20data',
      'ann@example.com',
      secrets.sub,
    ])
      assert.ok(!after.includes(secret), secret)
    assert.doesNotMatch(after, /"sealed"|"seal"|"proof"|rt_|eyJ/)
    assert.equal(after.split('lt_').length, 2, 'one ticket')
    assert.match(after, /a theme that stays/)
    world.front.mend()
  })

  it('503 three times and then 200: it goes on, and comes back no sooner than it is told', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    const times: number[] = []
    world.front.when('/oauth/revoke', (nth) => {
      times.push(Date.now())
      return nth <= 3 ? { status: 503, headers: { 'retry-after': '2' }, body: '{"error":"x"}' } : 'pass'
    })
    const result = await run<Result>(page, LOGOUT)
    assert.equal(result.server, 'queued')
    assert.equal(result.failures[0]?.step, 'verify')
    // Whatever wakes the app does not make it come back sooner.
    await page.evaluate("setInterval(() => dispatchEvent(new Event('online')), 200)")
    await delivered(page)
    assert.equal(times.length, 4)
    for (let i = 1; i < 4; i++) assert.ok(Number(times[i]) - Number(times[i - 1]) >= 1_950, `${times}`)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('a server that hangs does not keep anybody: /login within two seconds, and it stays queued', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    world.front.when('/oauth/revoke', () => 'hang')
    const took = await run<number>(
      page,
      'const before = performance.now(); await client.logout({ redirectTo: false }); return performance.now() - before',
    )
    assert.ok(took < 2_000, `${took} ms`)
    assert.equal(await waiting(page), 1)
    await page.goto(`${world.app}/login`)
    assert.equal((await revocationsOf(sid)).length, 0)
    world.front.mend()
    await page.reload()
    await until(page, 'globalThis.app')
    await delivered(page)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('the server commits and its answer is lost: success at the next try, one record', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    world.front.when('/oauth/revoke', (nth) => (nth === 1 ? 'lose-answer' : 'pass'))
    assert.equal((await run<Result>(page, LOGOUT)).server, 'queued')
    assert.equal((await revocationsOf(sid)).length, 1)
    await delivered(page)
    const last = await run<{ server: string }>(
      page,
      'return app.heard.findLast(({ event }) => event === "delivery")',
    )
    assert.equal(last.server, 'already-revoked')
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('what was revoked before is a success', async () => {
    // The page has not heard of it.
    world.front.when('/v1/events', () => 'hang')
    const page = await open()
    const { sid } = await tokensOf(page)
    await world.end(sid)
    const result = await run<Result>(page, LOGOUT)
    assert.deepEqual(result, { local: 'cleared', server: 'already-revoked', failures: [] })
    assert.equal(await waiting(page), 0)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  for (const status of [401, 403, 404, 200, 204, 302])
    it(`a proxy’s own ${status} proves nothing: it stays queued`, async () => {
      const page = await open()
      const { sid } = await tokensOf(page)
      const headers: Record<string, string> = status === 302 ? { location: '/somewhere' } : {}
      const body = status === 204 ? undefined : '<p>Please sign in to this network.</p>'
      world.front.when('/oauth/revoke', () => ({ status, headers, body }))
      const result = await run<Result>(page, LOGOUT)
      assert.equal(result.server, 'queued')
      assert.equal(await waiting(page), 1)
      world.front.mend()
      await delivered(page)
      assert.equal((await revocationsOf(sid)).length, 1)
    })

  const lies = {
    'a bare 200': '{}',
    'an unknown token': '{"revoked":false,"status":"unknown_token"}',
    'a receipt of another session':
      '{"revoked":true,"ended":[{"what":"session","sid":"other","seq":1}],"signedOut":true}',
    'what is said to have been dead before': '{"revoked":true,"already":true}',
    'a perfect receipt': '{"revoked":true,"ended":[{"what":"session","sid":"SID","seq":1}],"signedOut":true}',
  }
  for (const [name, lie] of Object.entries(lies))
    it(`a server that lies is found out: ${name}`, async () => {
      const page = await open()
      const { sid } = await tokensOf(page)
      world.front.when('/oauth/revoke', () => ({ status: 200, body: lie.replace('SID', sid) }))
      const result = await run<Result>(page, LOGOUT)
      assert.equal(result.server, 'queued')
      assert.equal(result.failures[0]?.step, 'verify')
      assert.equal(await waiting(page), 1)
      assert.equal((await revocationsOf(sid)).length, 0)
      world.front.mend()
      await delivered(page)
      assert.equal((await revocationsOf(sid)).length, 1)
    })

  it('a step that throws, and one that never ends, are named; all others are done', async () => {
    const page = await open()
    await run(page, 'await app.fill()')
    const { sid } = await tokensOf(page)
    await run(page, 'client.onClear(() => { throw new Error("the hook is broken") })')
    await run(page, 'client.onClear(() => new Promise(() => {}))')
    await run(page, 'Storage.prototype.removeItem = () => { throw new Error("the storage is broken") }')
    await run(page, 'caches.keys = () => new Promise(() => {})')
    const result = await run<Result>(page, LOGOUT)
    assert.equal(result.local, 'incomplete')
    assert.equal(result.server, 'confirmed')
    const failed = Object.fromEntries(result.failures.map(({ step, message }) => [step, message]))
    assert.deepEqual(Object.keys(failed).sort(), [
      ...['cacheStorage', 'localStorage', 'onClear 2', 'onClear 3', 'sessionStorage', 'sweep'],
    ])
    assert.equal(failed['onClear 2'], 'the hook is broken')
    assert.match(`${failed.cacheStorage}`, /took longer than/)
    assert.doesNotMatch(await run(page, 'return JSON.stringify(await indexedDB.databases())'), /app-data/)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('when nothing can be stored, the ticket is delivered all the same', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    await run(page, 'IDBDatabase.prototype.transaction = () => { throw new Error("the disk is full") }')
    const result = await run<Result>(page, LOGOUT)
    assert.equal(result.server, 'confirmed')
    assert.equal(result.local, 'incomplete')
    assert.deepEqual(
      result.failures.map(({ step }) => step),
      ['look', 'outbox'],
    )
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('when what is stored can’t be read, it is ended all the same', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    await page.addInitScript('SubtleCrypto.prototype.decrypt = () => new Promise(() => {})')
    await page.goto(`${world.app}/login`)
    await until(page, 'globalThis.app')
    const result = await run<Result>(page, LOGOUT)
    assert.equal(result.server, 'confirmed')
    assert.deepEqual(
      result.failures.map(({ step }) => step),
      ['look'],
    )
    assert.equal((await revocationsOf(sid)).length, 1)
    assert.doesNotMatch(await run(page, 'return await app.dump()'), /"sealed"|lt_/)
  })

  it('a redirect that leads nowhere is one more step that failed', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    const result = await run<Result>(page, "return await client.logout({ redirectTo: 'https://' })")
    assert.deepEqual(
      result.failures.map(({ step }) => step),
      ['redirect'],
    )
    assert.equal(result.server, 'confirmed')
    await run(page, "return await client.logout({ redirectTo: 'javascript:document.title=1' })")
    assert.notEqual(await page.title(), '1')
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('leaves the session of another client of this origin alone', async () => {
    const page = await open()
    await run(
      page,
      `await new Promise((resolve) => {
      const open = indexedDB.open('rescind:other', 1)
      open.onsuccess = () => resolve(open.result.close())
    })`,
    )
    await run(page, LOGOUT)
    const names = await run<string[]>(page, 'return (await indexedDB.databases()).map(({ name }) => name)')
    assert.ok(names.includes('rescind:other'))
  })

  it('a refresh in flight does not bring the session back, and what it brought is dead', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    let brought = ''
    let landed = () => {}
    const late = new Promise<void>((resolve) => {
      landed = resolve
    })
    // It gets there at once, and its answer comes after the logout.
    await page.route('**/oauth/token', async (route) => {
      const response = await route.fetch()
      brought = (await response.json()).access_token
      await late
      await route.fulfill({ response }).catch(() => {})
    })
    await run(
      page,
      'await app.expire(); app.call = client.fetch("/never").catch(() => {}); client.fetch(app.config.api + "/notes").catch((error) => { app.refused = error.code })',
    )
    while (brought === '') await new Promise((resolve) => setTimeout(resolve, 20))
    const result = await run<Result>(page, LOGOUT)
    landed()
    assert.equal(result.server, 'confirmed')
    await until(page, "app.refused === 'SESSION_ENDED'")
    assert.equal(await run(page, 'return client.state().status'), 'ended')
    await page.reload()
    await until(page, 'app.done')
    assert.notEqual(await run(page, 'return client.state().status'), 'signed-in')
    assert.equal(await apiSays(brought), 401)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('clicked twice in two tabs: one revocation', async () => {
    const page = await open()
    const other = await context.newPage()
    await other.goto(world.app)
    await until(other, "app.client.state().status === 'signed-in'")
    const { sid } = await tokensOf(page)
    const results = await Promise.all(
      [page, page, other, other].map((one) => run<Result>(one, LOGOUT).catch((error) => error)),
    )
    for (const { local } of results) assert.equal(local, 'cleared')
    assert.equal((await revocationsOf(sid)).length, 1)
    assert.equal(await waiting(page), 0)
  })

  it('somebody else signs in while a ticket waits: it is delivered, and they are not touched', async () => {
    const page = await open()
    const { sid } = await tokensOf(page)
    world.front.when('/oauth/revoke', () => 'drop')
    assert.equal((await run<Result>(page, LOGOUT)).server, 'queued')
    // A shared browser: the authority signs the next one in anew.
    await context.clearCookies()
    await page.goto(`${world.app}/login`)
    await signIn(world, page, BOB)
    await run(page, 'await app.fill()')
    const bob = await tokensOf(page)
    world.front.mend()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await delivered(page)
    assert.equal((await revocationsOf(sid)).length, 1)
    assert.equal((await revocationsOf(bob.sid)).length, 0)
    assert.equal(await run(page, 'return client.state().sid'), bob.sid)
    assert.match(await dump(context, page), /private data/)
    await run(page, 'await app.show()')
  })
})
