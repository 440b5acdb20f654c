import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { addAccount } from '../../packages/authority/src/accounts.ts'
import { launchChromium } from '../chromium.ts'
import { freeze, run, signIn, startWorld, tokensOf, until, type World } from './world.ts'

/* One session in many tabs, and what ends it from elsewhere. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }

describe('one session in many tabs', () => {
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
    world.configure({})
    await context.close()
  })
  after(async () => {
    await browser.close()
    await world.stop()
  })

  /** So many tabs of one browser, all signed in. */
  async function openTabs(count: number): Promise<Page[]> {
    context = await browser.newContext()
    const first = await context.newPage()
    await signIn(world, first)
    const tabs = [first]
    while (tabs.length < count) {
      const tab = await context.newPage()
      await tab.goto(world.app)
      await until(tab, "globalThis.app?.done && app.client.state().status === 'signed-in'")
      tabs.push(tab)
    }
    return tabs
  }
  const revocationsOf = async (sid: string) => (await world.revocations()).filter((one) => one.sid === sid)
  const gone = (page: Page) => page.waitForURL(`${world.app}/login`)

  it('another tab opens without a refresh of its own', async () => {
    const before = world.front.count('/oauth/token')
    await openTabs(3)
    assert.equal(world.front.count('/oauth/token') - before, 1)
  })

  it('three tabs, one of them frozen: it learns on resume, before its first request', async () => {
    const [one, two, frozen] = (await openTabs(3)) as [Page, Page, Page]
    const { sid } = await tokensOf(one)
    // The moment it is thawed, it asks the API.
    const asking =
      'setInterval(() => client.fetch(app.config.api + "/notes").catch((error) => { app.refused = error.code }), 5)'
    let asked = 0
    frozen.on('request', (request) => {
      if (request.url() === `${world.api}/notes`) asked++
    })
    const thaw = await freeze(browser, frozen, [one, two])
    frozen.evaluate(`(() => { const { client } = app; ${asking} })()`).catch(() => {})
    await run(one, 'client.logout()')
    await Promise.all([gone(one), gone(two)])
    assert.equal(asked, 0)
    thaw()
    await gone(frozen)
    assert.equal(asked, 0)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('a tab that heard nothing asks its storage before it sends anything', async () => {
    const [one, deaf] = (await openTabs(2)) as [Page, Page]
    // No message reaches it, and it never wakes.
    await run(deaf, 'client.on("session-ended", (e) => { app.ended = e.reason })')
    await run(deaf, 'client.close()')
    await run(one, 'return client.logout({ redirectTo: false })')
    const refused = await run(
      deaf,
      'return await client.fetch(app.config.api + "/notes").catch((error) => error.code)',
    )
    assert.equal(refused, 'SESSION_ENDED')
    assert.equal(await run(deaf, 'return app.ended'), 'user_logout')
  })

  it('all tabs lose what they hold for themselves', async () => {
    const [one, two] = (await openTabs(2)) as [Page, Page]
    await run(two, "sessionStorage.setItem('notes', 'private'); sessionStorage.setItem('shell', 'stays')")
    await run(one, 'return client.logout({ redirectTo: false })')
    await until(two, 'app.cleared.length > 0')
    assert.deepEqual(await run(two, 'return { ...sessionStorage }'), { shell: 'stays' })
    assert.deepEqual(await run(two, 'return app.cleared'), [false])
    assert.equal(await two.textContent('#private'), '')
  })

  it('five tabs expire together: one refresh', async () => {
    const tabs = await openTabs(5)
    const before = world.front.count('/oauth/token')
    for (const tab of tabs) await run(tab, 'await app.expire()')
    await Promise.all(tabs.map((tab) => run(tab, 'await app.show()')))
    // A clock that is ten minutes ahead costs a second question; the rotation is one.
    const asked = world.front.seen.filter(({ path, method }) => path === '/oauth/token' && method === 'POST')
    assert.equal(asked.slice(before).filter(({ status }) => status === 200).length, 1)
    const sessions = await Promise.all(tabs.map((tab) => tokensOf(tab)))
    assert.equal(new Set(sessions.map(({ accessToken }) => accessToken)).size, 1)
  })

  it('the tab that refreshes is killed meanwhile: another goes on', async () => {
    const [killed, other] = (await openTabs(2)) as [Page, Page]
    const { sid } = await tokensOf(other)
    let began = () => {}
    const begins = new Promise<void>((resolve) => {
      began = resolve
    })
    world.front.when('/oauth/token', (nth) => {
      if (nth > 1) return 'pass'
      began()
      return 'hang'
    })
    for (const tab of [killed, other]) await run(tab, 'await app.expire()')
    await run(killed, 'app.show().catch(() => {})')
    await begins
    const shown = run(other, 'await app.show()')
    const chrome = await context.newCDPSession(killed)
    chrome.send('Page.crash').catch(() => {})
    await shown
    assert.match(`${await other.textContent('#private')}`, /private: Buy milk/)
    assert.equal((await revocationsOf(sid)).length, 0)
  })

  it('the answer to a refresh is lost with its tab: another gets the same successor', async () => {
    const [killed, other] = (await openTabs(2)) as [Page, Page]
    const { sid } = await tokensOf(other)
    world.front.when('/oauth/token', (nth) => (nth === 1 ? 'lose-answer' : 'pass'))
    await run(killed, 'await app.expire(); await app.show().catch(() => {})')
    await killed.close()
    await run(other, 'await app.expire(); await app.show()')
    assert.equal(await run(other, 'return client.state().status'), 'signed-in')
    assert.equal((await revocationsOf(sid)).length, 0)
  })

  /** Somebody else signs in, in another tab of the same browser. */
  async function bobSignsIn(page: Page) {
    await run(page, 'return client.logout({ redirectTo: false })')
    await context.clearCookies()
    await page.goto(`${world.app}/login`)
    await until(page, 'globalThis.app?.done')
    await signIn(world, page, BOB)
    await run(page, 'await app.fill()')
    return tokensOf(page)
  }

  it('a tab of the former person that heard nothing logs nobody else out, and clears nothing of theirs', async () => {
    const [one, deaf] = (await openTabs(2)) as [Page, Page]
    await run(deaf, 'client.close()')
    const bob = await bobSignsIn(one)
    await run(deaf, 'client.logout()')
    // It is sent to the app anew, as whom the browser belongs to now.
    await until(deaf, `globalThis.app?.done && app.client.state().sid === '${bob.sid}'`)
    assert.equal((await revocationsOf(bob.sid)).length, 0)
    assert.match(await run<string>(one, 'return await app.dump()'), /"notes":"private data/)
    await run(one, 'await app.show()')
    assert.equal(await run(one, 'return client.state().sid'), bob.sid)
  })

  it('a refresh of the former person that lands late changes nothing of the one who is here', async () => {
    const [one, late] = (await openTabs(2)) as [Page, Page]
    await run(late, 'client.close()')
    let came = () => {}
    const refreshing = new Promise<void>((resolve) => {
      came = resolve
    })
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await late.route('**/oauth/token', async (route) => {
      const response = await route.fetch()
      came()
      await held
      await route.fulfill({ response }).catch(() => {})
    })
    await run(late, 'await app.expire(); app.show().catch((error) => { app.refused = error.code })')
    await refreshing
    const bob = await bobSignsIn(one)
    release()
    await until(late, `globalThis.app?.done && app.client.state().sid === '${bob.sid}'`)
    await one.reload()
    await until(one, 'globalThis.app?.done')
    assert.equal(await run(one, 'return client.state().sid'), bob.sid)
    await run(one, 'await app.show()')
    assert.equal((await revocationsOf(bob.sid)).length, 0)
  })

  it('the authority is away: the session stays, and the app is told to try again', async () => {
    const [page] = (await openTabs(1)) as [Page]
    world.front.when('/oauth/token', () => ({ status: 503, body: '{"error":"temporarily_unavailable"}' }))
    await run(page, 'await app.expire()')
    const refused = await run(
      page,
      'return await client.fetch(app.config.api + "/notes").catch((error) => error.code)',
    )
    assert.equal(refused, 'UNAVAILABLE')
    world.front.mend()
    await run(page, 'await app.show()')
    assert.equal(await run(page, 'return client.state().status'), 'signed-in')
  })

  it('ended from elsewhere while live: requests abort, connections close, data is cleared, the reason is shown', async () => {
    const [page, other] = (await openTabs(2)) as [Page, Page]
    await run(page, 'await app.fill(); await app.listen()')
    const { sid } = await tokensOf(page)
    assert.equal(world.sockets(), 1)
    const before = await world.revocations()
    const reasons = [page, other].map((one) => one.waitForURL(/\/signed-out\?code=/))
    await world.end(sid, 'device_removed')
    await Promise.all(reasons)
    assert.match(`${await page.textContent('main')}`, /removed|device/i)
    assert.equal(world.sockets(), 0)
    await page.goto(`${world.app}/login`)
    await until(page, 'app.done')
    assert.equal(await run(page, 'return client.state().reason'), 'device_removed')
    const found = await run<string>(page, 'return await app.dump()')
    assert.doesNotMatch(found, /private data|lt_|"sealed"/)
    assert.equal((await world.revocations()).length, before.length + 1)
  })

  it('an app that wants no redirect gets all of it as an event', async () => {
    world.configure({ redirect: false })
    const [page] = (await openTabs(1)) as [Page]
    await page.route('**/slow', () => {})
    await run(
      page,
      'await app.listen(); app.slow = client.fetch(app.config.api + "/slow").catch((e) => e.code)',
    )
    const { sid } = await tokensOf(page)
    await world.end(sid, 'password_change')
    await until(page, 'app.heard.some(({ event }) => event === "session-ended")')
    const ended = await run<Record<string, string>>(
      page,
      'return app.heard.find(({ event }) => event === "session-ended")',
    )
    assert.equal(ended.reason, 'password_change')
    assert.ok(ended.page?.startsWith(world.authority.issuer))
    assert.equal(await run(page, 'return app.stream'), 'closed')
    assert.equal(await run(page, 'return app.slow'), 'SESSION_ENDED')
  })

  it('ended from elsewhere while asleep: one refusal, and no loop of refreshes', async () => {
    world.front.when('/v1/events', () => 'hang')
    const [page] = (await openTabs(1)) as [Page]
    const { sid } = await tokensOf(page)
    await world.end(sid, 'token_reuse')
    const before = world.front.count('/oauth/token')
    const reason = page.waitForURL(/\/signed-out\?code=/)
    const refused = run<string[]>(
      page,
      'return await Promise.all([1, 2, 3, 4, 5].map(() => client.fetch(app.config.api + "/notes").catch((error) => error.code + " " + error.reason)))',
    ).catch(() => undefined)
    await reason
    assert.equal(world.front.count('/oauth/token') - before, 1)
    const told = await refused
    if (told) assert.deepEqual(new Set(told), new Set(['SESSION_ENDED token_reuse']))
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('an API’s bare 401 is the app’s own affair: nobody is logged out by a proxy', async () => {
    const [page] = (await openTabs(1)) as [Page]
    const { sid } = await tokensOf(page)
    await page.route(`${world.api}/notes`, (route) =>
      route.fulfill({
        status: 401,
        body: 'who are you?',
        headers: { 'access-control-allow-origin': world.app },
      }),
    )
    assert.equal(await run(page, 'return (await client.fetch(app.config.api + "/notes")).status'), 401)
    assert.equal(await run(page, 'return client.state().status'), 'signed-in')
    assert.equal((await revocationsOf(sid)).length, 0)
  })

  it('another session of the account is listed, and ended from here', async () => {
    const [page] = (await openTabs(1)) as [Page]
    const elsewhere = await browser.newContext()
    const there = await elsewhere.newPage()
    await signIn(world, there)
    const { sid } = await tokensOf(there)
    const left = there.waitForURL(/\/signed-out\?code=/)
    await until(page, 'app.client.state().status === "signed-in"')
    const listed = await run<{ sid: string; current: boolean; endedAt?: string }[]>(
      page,
      'return await client.sessions.list()',
    )
    assert.ok(listed.some((one) => one.sid === sid && !one.current && !one.endedAt))
    const receipt = await run<{ ended: { sid: string }[] }>(
      page,
      `return await client.sessions.end(${JSON.stringify(sid)})`,
    )
    assert.equal(receipt.ended[0]?.sid, sid)
    await left
    await until(page, 'app.heard.length >= 0 && app.client.state().status === "signed-in"')
    await elsewhere.close()
  })

  it('the token goes to the APIs of the client, and nowhere else', async () => {
    const [page] = (await openTabs(1)) as [Page]
    const refused = await run(
      page,
      'return await client.fetch("https://evil.example/").catch((error) => error.code)',
    )
    assert.equal(refused, 'CONFIGURATION')
    assert.equal(
      await run(page, 'return await client.fetch("/private").catch((error) => error.code)'),
      'CONFIGURATION',
    )
  })
})
