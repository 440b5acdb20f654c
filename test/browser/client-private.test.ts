import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchChromium } from '../chromium.ts'
import { run, signIn, startWorld, until, type World } from './world.ts'

/* Nothing private is shown after a logout: not from caches, not by the back button, not to whoever comes next. */

describe('after a logout', () => {
  let world: World
  let browser: Browser
  let context: BrowserContext
  before(async () => {
    world = await startWorld()
    browser = await launchChromium()
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

  it('a service worker that had cached a private page shows nothing of it', async () => {
    const page = await open()
    await run(page, 'await app.install()')
    await run(page, 'await app.fill(); await fetch("/private")')
    assert.equal(await run(page, 'return await caches.has("private")'), true)
    await run(page, 'client.logout()')
    await page.waitForURL(`${world.app}/login`)
    await context.setOffline(true)
    assert.equal(
      await run(page, 'return await fetch("/private").then(() => "shown", () => "nothing")'),
      'nothing',
    )
    await page.goto(`${world.app}/`)
    await until(page, 'globalThis.app?.done')
    assert.equal(await page.textContent('#private'), '')
    assert.deepEqual(await run(page, 'return await caches.keys()'), ['shell'])
    await context.setOffline(false)
  })

  it('a page that had been on its way into a cache is not there either', async () => {
    const page = await open()
    await run(page, 'await app.install()')
    let late = () => {}
    const held = new Promise<void>((resolve) => {
      late = resolve
    })
    await context.route('**/private', async (route) => {
      await held
      await route.continue()
    })
    await run(page, 'fetch("/private").catch(() => {})')
    const result = run<{ local: string }>(page, 'return await client.logout({ redirectTo: false })')
    await new Promise((resolve) => setTimeout(resolve, 20))
    late()
    await result
    await page.goto(`${world.app}/login`)
    await until(page, 'globalThis.app?.done')
    await until(page, 'caches.has("private").then((has) => !has)')
  })

  it('the back button brings nothing back', async () => {
    const page = await open()
    assert.match(`${await page.textContent('#private')}`, /private: Buy milk/)
    await run(page, 'client.logout()')
    await page.waitForURL(`${world.app}/login`)
    await until(page, 'globalThis.app?.done')
    await page.goBack().catch(() => {})
    await page.waitForTimeout(300)
    assert.doesNotMatch(await page.content(), /Buy milk/)
  })

  /** Puts a page away and brings it back, as browsers do that keep pages in memory; what it looks like in between. */
  const away = (persisted: boolean) => `
    dispatchEvent(new PageTransitionEvent('pagehide', { persisted: ${persisted} }))
    const look = () => getComputedStyle(document.documentElement).visibility
    app.looks = [look()]
    await 0
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: ${persisted} }))
    app.looks.push(look())`

  it('a page that the browser kept in memory is hidden until it knows that the session lives', async () => {
    const page = await open()
    await run(page, away(true))
    assert.deepEqual(await run(page, 'return app.looks'), ['hidden', 'hidden'])
    await until(page, 'getComputedStyle(document.documentElement).visibility === "visible"')
    await run(page, 'await app.show()')
  })

  it('a page that the browser kept in memory learns first that the session has ended', async () => {
    const page = await open()
    const other = await context.newPage()
    await other.goto(`${world.app}/`)
    await until(other, 'globalThis.app?.done')
    // It hears of nothing while it is away.
    await page.evaluate(
      "BroadcastChannel.prototype.postMessage = () => {}; dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))",
    )
    await other.evaluate('BroadcastChannel.prototype.postMessage = () => {}')
    await run(other, 'return await client.logout({ redirectTo: false })')
    assert.equal(await run(page, 'return getComputedStyle(document.documentElement).visibility'), 'hidden')
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await until(page, 'app.client.state().status === "ended" && app.cleared.length === 1')
    assert.equal(await run(page, 'return app.heard.at(-1).reason'), 'user_logout')
  })

  it('the back button shows the app again while the session lives', async () => {
    const page = await open()
    await page.goto(`${world.authority.issuer}/`)
    await page.goBack({ waitUntil: 'commit' }).catch(() => {})
    await until(page, 'globalThis.app?.done')
    await until(page, 'getComputedStyle(document.documentElement).visibility === "visible"')
    await run(page, 'await app.show()')
  })

  it('the back button, and a session that ended in between', async () => {
    const page = await open()
    await page.goto(`${world.authority.issuer}/`)
    const other = await context.newPage()
    await other.goto(`${world.app}/`)
    await until(other, 'globalThis.app?.done')
    await run(other, 'return await client.logout()')
    await page.goBack({ waitUntil: 'commit' }).catch(() => {})
    await until(page, 'globalThis.app?.done && app.client.state().status === "ended"')
    assert.equal(await page.textContent('#private'), '')
  })
})
