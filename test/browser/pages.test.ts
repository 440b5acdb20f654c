import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchChromium } from '../chromium.ts'
import { makeScene, type Scene, signInOn, VISITS } from '../page-visits.ts'
import { PERSON } from '../setup.ts'
import { authorizationRequest } from '../sign-in.ts'

/* Every page of the authority, in a real browser: accessible, by keyboard, without script, and within its policy. */

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What can be clicked or typed into, as the page numbers it. */
const REACHABLE = `(() => {
  const able = 'a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex="0"]'
  // What is folded away is reached once it is unfolded, and of radio buttons one is.
  const shown = (e) => e.checkVisibility() && !e.disabled && (e.tagName === 'SUMMARY' || !e.closest('details:not([open])'))
  const all = [...document.querySelectorAll(able)].filter(shown)
  all.forEach((e, n) => { e.dataset.place = n + ' ' + (e.textContent || e.name || e.tagName).trim().slice(0, 40) })
  return all.map((e) => e.dataset.place)
})()`
const FOCUSED = `(() => {
  const e = document.activeElement
  if (!e || e === document.body) return null
  const { outlineStyle, boxShadow } = getComputedStyle(e)
  return { what: e.dataset.place ?? e.outerHTML.slice(0, 80), seen: outlineStyle !== 'none' || boxShadow !== 'none' }
})()`

type Finding = { id: string; nodes: { html: string; failureSummary?: string }[] }

describe('every page', () => {
  let browser: Browser
  before(async () => {
    browser = await launchChromium()
  })
  after(() => browser.close())

  /** Goes through all pages in one browser, in order. */
  async function visitAll(
    options: Parameters<Browser['newContext']>[0],
    look: (name: string, page: Page, scene: Scene) => Promise<void>,
    watch: (page: Page, name: string) => void = () => {},
  ) {
    const scene = await makeScene()
    const context: BrowserContext = await browser.newContext({ locale: 'en-GB', ...options })
    try {
      for (const [name, visit] of Object.entries(VISITS)) {
        const page = await context.newPage()
        watch(page, name)
        await visit(scene, page)
        await page.waitForFunction('document.readyState === "complete"')
        await look(name, page, scene)
        await page.close()
      }
    } finally {
      await context.close()
      await scene.authority.stop()
    }
  }

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has nothing that axe finds (${colorScheme}), and keeps to its policy`, async () => {
      const found: string[] = []
      const reports: string[] = []
      const watch = (page: Page, name: string) => {
        page.on('console', (message) => {
          if (/Content Security Policy|Refused to/i.test(message.text()))
            reports.push(`${name}: ${message.text()}`)
        })
        // What the browser itself reports, whether or not it is shown in the console.
        page.exposeFunction('report', (what: string) => reports.push(`${name}: ${what}`))
        page.addInitScript(
          "addEventListener('securitypolicyviolation', (e) => report(e.violatedDirective + ' ' + e.blockedURI))",
        )
        page.on('pageerror', (error) => reports.push(`${name}: ${error.message}`))
      }
      await visitAll(
        { colorScheme },
        async (name, page) => {
          await page.evaluate(AXE)
          const run = 'axe.run(document, { resultTypes: ["violations"] })'
          const { violations } = (await page.evaluate(run)) as { violations: Finding[] }
          for (const { id, nodes } of violations)
            for (const { html, failureSummary } of nodes)
              found.push(`${name}: ${id}: ${html} ${failureSummary}`)
        },
        watch,
      )
      assert.deepEqual(found, [])
      assert.deepEqual(reports, [])
    })
  }

  it('fits a screen of 320 pixels, and a wide one', async () => {
    for (const width of [320, 1920]) {
      const tooWide: string[] = []
      await visitAll({ viewport: { width, height: 700 } }, async (name, page) => {
        const needs = (await page.evaluate('document.documentElement.scrollWidth')) as number
        if (needs > width) tooWide.push(`${name}: ${needs} of ${width}`)
      })
      assert.deepEqual(tooWide, [])
    }
  })

  it('works with JavaScript switched off', async () => {
    const titles: string[] = []
    await visitAll({ javaScriptEnabled: false }, async (name, page) => {
      assert.notEqual(await page.title(), '', name)
      titles.push(name)
    })
    assert.equal(titles.length, Object.keys(VISITS).length)
  })

  it('lets the keyboard reach whatever a mouse can, in order and in sight, and lets it go again', async () => {
    await visitAll({}, async (name, page) => {
      const all = (await page.evaluate(REACHABLE)) as string[]
      const reached: string[] = []
      await page.evaluate(
        'document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex")',
      )
      for (let presses = 0; presses < all.length + 5; presses++) {
        await page.keyboard.press('Tab')
        const now = (await page.evaluate(FOCUSED)) as { what: string; seen: boolean } | null
        if (!now) break
        assert.ok(now.seen, `${name}: the focus can be seen on ${now.what}`)
        reached.push(now.what)
      }
      assert.deepEqual(new Set(reached), new Set(all), name)
    })
  })

  it('can be used with the keyboard alone: signing in, and logging out a device', async () => {
    const scene = await makeScene()
    const page = await browser.newPage()
    await page.goto(authorizationRequest(scene.authority.issuer, { clientId: 'third-party' }).url)
    await page.waitForFunction('document.activeElement.name === "email"')
    await page.keyboard.type(PERSON.email)
    await page.keyboard.press('Tab')
    await page.keyboard.type(PERSON.password)
    await page.keyboard.press('Enter')
    await page.waitForSelector('.scopes')
    await page.goto(`${scene.authority.issuer}/devices`)
    const before = await page.locator('form[action="/devices/end"]').count()
    const reached = new Set<string>()
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Tab')
      const focused = (await page.evaluate(
        '(() => { const e = document.activeElement; const s = getComputedStyle(e); return { what: e.textContent.trim(), outline: s.outlineStyle } })()',
      )) as { what: string; outline: string }
      if (focused.what.length > 60 || focused.what === '') continue
      assert.notEqual(focused.outline, 'none', `the focus can be seen on “${focused.what}”`)
      reached.add(focused.what)
    }
    for (const what of ['Log out', 'Rename', 'Log out all other devices']) assert.ok(reached.has(what), what)
    await page.locator('form[action="/devices/end"] button').first().focus()
    await page.keyboard.press('Enter')
    await page.waitForSelector('[role=status]')
    assert.equal(await page.locator('form[action="/devices/end"]').count(), before - 1)
    await page.close()
    await scene.authority.stop()
  })

  it('of a signed-in person is not shown again by the back button after they signed out', async () => {
    const scene = await makeScene()
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${scene.authority.issuer}/devices`)
    await signInOn(page)
    await page.waitForSelector('.devices')
    await page.goto(`${scene.authority.issuer}/oauth/logout`)
    await page.click('button.primary')
    await page.waitForSelector('.ended')
    await page.goBack()
    await page.goBack()
    assert.equal(await page.locator('.devices').count(), 0)
    assert.ok(!(await page.content()).includes(PERSON.email))
    await context.close()
    await scene.authority.stop()
  })
})
