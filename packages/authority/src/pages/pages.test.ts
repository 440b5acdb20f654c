import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { REASONS } from '../domain/reason.ts'
import { codePage } from './code.ts'
import { consentPage } from './consent.ts'
import { accountPage, findPage } from './console/accounts.ts'
import { auditPage, clientsPage, deliveriesPage, endManyPage, servicesPage } from './console/lists.ts'
import { devicesPage, othersPage } from './devices.ts'
import { endedPage, TOLD_REASONS } from './ended.ts'
import { errorPage } from './error.ts'
import { linkSentPage, noMailPage } from './forgot.ts'
import { homePage } from './home.ts'
import { logo } from './logo.ts'
import { notMePage } from './not-me.ts'
import { REASON_WORDS } from './reasons.ts'
import { resetPage } from './reset.ts'
import { signInPage } from './sign-in.ts'
import { confirmSignOutPage, leftPage, stayedPage } from './signed-out.ts'
import { stylesheet } from './styles.ts'
import { switchPage } from './switch.ts'

const issuerName = 'Rescind'

/** One string that breaks out of text, of either kind of quoted attribute and of a textarea, if anything lets it. */
const hostile = `"><img src=x onerror=alert(1)></textarea><script>alert('x')</script>' onfocus='alert(1)`

const form =
  '<form id="op.logoutForm" method="post" action="/x"><input type="hidden" name="xsrf" value="1"/></form>'

/** What an account is signed in on, all of it called the same. */
function accountOf(text: string) {
  const at = new Date(0).toISOString()
  const seen = { firstSeen: at, lastSeen: at, address: text, place: text }
  const device = { id: text, name: text, kind: 'desktop' as const }
  const session = {
    sid: text,
    current: false,
    client: { id: text, name: text },
    openedAt: at,
    scope: text,
    ...seen,
  }
  return {
    devices: [
      { ...device, ...seen, browser: text, os: text, current: true, sessions: 1 },
      { ...device, ...seen, id: 'another', current: false, sessions: 1 },
    ],
    sessions: [
      { ...session, device },
      session,
      { ...session, device, endedAt: at, reason: 'admin_forced' as const },
    ],
  }
}

/** The console, of things that are all called the same. */
function consolePages(text: string): Record<string, Promise<string>> {
  const at = new Date(0).toISOString()
  const told = { issuerName, told: { words: text }, error: text }
  const account = { sub: text, email: text, name: text, createdAt: at, reviewSince: at, deactivatedAt: at }
  const record = { n: 1, hash: '', at, event: 'revocation' as const, actor: text, sub: text, sid: text }
  const full = { ...record, clientId: text, address: text, reason: text, detail: text }
  const { devices } = accountOf(text)
  const session = { sid: text, sub: text, clientId: text, openedAt: at, lastSeen: at, scope: text }
  const report = { account, devices, sessions: [session], records: [full], more: true }
  const signIns = [{ address: text, succeeded: 1, failed: 1, first: at, last: at }]
  const guard = { guard: text, resources: [text], address: text, since: 0, behind: 1, silentFor: 1 }
  const delivery = {
    id: text,
    kind: text,
    topic: text,
    target: text,
    attempts: 1,
    nextAt: 0,
    lastError: text,
  }
  return {
    'console, start': findPage({ ...told, review: [account], who: text }),
    'console, account': accountPage({ ...told, reason: text, report: { ...report, signIns } }),
    'console, clients': clientsPage({ ...told, clients: [{ id: text, name: text, kind: 'registered' }] }),
    'console, services': servicesPage({ ...told, seq: 1, guards: [guard] }),
    'console, deliveries': deliveriesPage({
      ...told,
      deliveries: ['dead', 'dead', 'waiting', text].map((state) => ({ ...delivery, state })),
    }),
    'console, audit': auditPage({
      ...{ ...told, records: [full], events: [text], next: text },
      given: { event: text, sub: text, reason: text },
    }),
    'console, end many': endManyPage({
      ...{ ...told, client: text, before: text, reason: text },
      count: { sessions: 2, accounts: 1, clients: 1 },
    }),
  }
}

function everyPage(text: string): Record<string, Promise<string>> {
  return {
    'sign-in': signInPage({ issuerName, action: text, cancelAction: text, clientName: text }),
    'sign-in, failed': signInPage({
      issuerName,
      action: text,
      cancelAction: text,
      clientName: text,
      email: text,
      error: text,
      reason: text,
    }),
    consent: consentPage({
      issuerName,
      action: text,
      cancelAction: text,
      clientName: text,
      clientUri: text,
      redirectHost: text,
      accountEmail: text,
      scopes: [{ name: text, description: text }],
      resource: text,
    }),
    code: codePage({ issuerName, code: text, state: text, iss: text }),
    'code, failed': codePage({ issuerName, error: text, errorDescription: text }),
    error: errorPage({ issuerName, title: text, message: text, code: text, requestId: text }),
    home: homePage({ issuerName, issuer: text, mcpUrl: text, docs: [{ label: text, href: `/${text}` }] }),
    'signed out': stayedPage({ issuerName, clientName: text }),
    devices: devicesPage({
      ...{ issuerName, email: text, administers: true, told: { words: text } },
      ...accountOf(text),
    }),
    'devices, nothing there': devicesPage({
      issuerName,
      email: text,
      devices: [],
      sessions: [],
      administers: false,
    }),
    'log out all others': othersPage({ issuerName: text, count: 2 }),
    'signed out here': leftPage({ issuerName: text, told: { words: text } }),
    ended: endedPage({
      ...{ issuerName: 'Rescind', reason: 'device_removed', at: 0, code: text },
      personal: { email: text, app: text, device: text, openedAt: 0, address: text },
    }),
    'ended, before a sign-in': endedPage({ issuerName: 'Rescind', reason: 'token_reuse', at: 0, code: text }),
    'ended, of somebody else': endedPage({
      ...{ issuerName, reason: 'user_logout', at: 0, code: text, stranger: text },
    }),
    'no mail': noMailPage({ issuerName: text }),
    'link sent': linkSentPage({ issuerName, email: text }),
    reset: resetPage({ issuerName, code: text, error: text }),
    'not me': notMePage({ issuerName, code: text }),
    'another account': switchPage({ issuerName, action: text, xsrf: text }),
    ...consolePages(text),
    'confirm sign out': confirmSignOutPage({ issuerName, form, host: text }),
  }
}

/** Escaped text holds no `>`, so a tag ends at the first one. */
const tags = (html: string): string[] => html.match(/<[a-z][^>]*>/gi) ?? []
const attribute = (tag: string, name: string): string | undefined =>
  new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1]
const occurrences = (html: string, part: string): number => html.split(part).length - 1

for (const [name, rendered] of Object.entries(everyPage(hostile))) {
  describe(name, () => {
    test('hostile-input-stays-text', async () => {
      const html = await rendered
      assert.ok(html.includes('&lt;script&gt;'), 'the input is shown')
      assert.ok(!html.includes(hostile))
      assert.ok(!/<script|<img src=x/i.test(html))
      // The same elements with the same attribute names as with harmless input: nothing was added.
      const shape = (page: string) => tags(page).map((tag) => tag.replace(/"[^"]*"/g, '""'))
      const harmless = await everyPage('harmless')[name]
      assert.deepEqual(shape(html), shape(harmless ?? ''))
    })

    test('no-name-turns-the-words-around', async () => {
      const html = (await everyPage('moc.elpmaxe\u202e\u2066')[name]) ?? ''
      assert.doesNotMatch(html, /[\u202a-\u202e\u2066-\u2069]/)
    })

    test('is-no-dead-end', async () => {
      assert.match(await rendered, /<a href="\/|<form |<a class="button/)
    })

    test('runs-under-a-strict-policy', async () => {
      const html = await rendered
      for (const tag of tags(html)) {
        assert.ok(!/^<(script|style|iframe|object|embed|base)\b/i.test(tag), tag)
        const names = tag.replace(/"[^"]*"/g, '').split(/[\s=>]+/)
        assert.ok(!names.some((word) => word === 'style' || /^on/i.test(word)), tag)
        assert.ok(!attribute(tag, 'href')?.startsWith('javascript:'), tag)
      }
    })

    test('is-a-whole-document', async () => {
      const html = await rendered
      assert.ok(html.startsWith('<!doctype html>\n<html lang="en">'))
      assert.match(html, /<title>[^<]+ · [^<]+<\/title>/)
      assert.match(html, /<meta name="viewport" content="width=device-width, initial-scale=1">/)
      assert.equal(occurrences(html, '<link rel="stylesheet" href="/assets/rescind.css">'), 1)
      assert.equal(occurrences(html, '<h1>'), 1)
      assert.equal(occurrences(html, '<main>'), 1)
    })

    test('each-input-has-a-label-and-each-reference-a-target', async () => {
      const html = await rendered
      const ids = tags(html).flatMap((tag) => attribute(tag, 'id') ?? [])
      assert.equal(new Set(ids).size, ids.length, 'no id twice')
      const labelled = tags(html).flatMap((tag) => (tag.startsWith('<label') ? [attribute(tag, 'for')] : []))
      const inputs = tags(html).filter(
        (tag) => /^<(input|textarea|select)\b/.test(tag) && attribute(tag, 'type') !== 'hidden',
      )
      for (const tag of inputs) assert.ok(labelled.includes(attribute(tag, 'id')), tag)
      for (const tag of tags(html)) {
        for (const reference of ['for', 'aria-describedby', 'aria-labelledby', 'form']) {
          const value = attribute(tag, reference)
          const named = value === undefined || ids.includes(value) ? [] : value.split(' ')
          for (const id of named) assert.ok(ids.includes(id), `${reference} of ${tag}`)
        }
      }
    })
  })
}

test('sign-in keeps the email, never a password, and points at the error', async () => {
  const html = await signInPage({
    issuerName,
    action: '/in',
    cancelAction: '/no',
    clientName: 'Notes',
    email: 'ada@example.com',
    error: 'No match.',
  })
  const input = (id: string) => tags(html).find((tag) => attribute(tag, 'id') === id) ?? ''
  assert.equal(attribute(input('email'), 'value'), 'ada@example.com')
  assert.equal(attribute(input('email'), 'autocomplete'), 'username')
  assert.equal(attribute(input('email'), 'maxlength'), '254')
  assert.equal(attribute(input('password'), 'value'), undefined)
  assert.equal(attribute(input('password'), 'autocomplete'), 'current-password')
  assert.equal(attribute(input('password'), 'maxlength'), '1024')
  assert.equal(attribute(input('password'), 'aria-describedby'), 'sign-in-error')
  assert.match(html, /<p class="notice bad" id="sign-in-error" role="alert">No match\.<\/p>/)
  assert.match(html, /<form method="post" action="\/no"/)
})

test('consent shows where the answer goes, and that a name proves nothing', async () => {
  const ask = (redirectHost: string) =>
    consentPage({
      issuerName,
      action: '/yes',
      cancelAction: '/no',
      clientName: 'Bank',
      redirectHost,
      accountEmail: 'ada@example.com',
      scopes: [],
    })
  assert.match(await ask('evil.example'), /<strong><bdi class="given">evil\.example<\/bdi><\/strong>/)
  assert.match(await ask('evil.example'), /not verified/)
  assert.doesNotMatch(await ask('evil.example'), /on this device/)
  assert.match(await ask('127.0.0.1:8123'), /a program on this device/)
  assert.doesNotMatch(await ask('127.0.0.1.evil.example'), /on this device/)
  assert.doesNotMatch(await ask('localhost.evil.example:80'), /on this device/)
})

test('the line for the agent reads back as JSON', async () => {
  const html = await codePage({ issuerName, code: 'a"b\\c', state: 's', iss: 'https://auth.example.com' })
  const line = /<textarea[^>]*>\n([^<]*)<\/textarea>/.exec(html)?.[1] ?? ''
  const unescaped = line.replaceAll('&quot;', '"').replaceAll('&amp;', '&')
  assert.deepEqual(JSON.parse(unescaped), { code: 'a"b\\c', state: 's', iss: 'https://auth.example.com' })
})

test('a sign-in that failed says why, in our words, and shows no code', async () => {
  assert.match(
    await codePage({ issuerName, error: 'access_denied', code: 'c' }),
    /<h1>You did not allow it<\/h1>/,
  )
  assert.doesNotMatch(await codePage({ issuerName, error: 'access_denied', code: 'c' }), /<textarea/)
  assert.match(await codePage({ issuerName, error: 'constructor' }), /<h1>Sign-in did not finish<\/h1>/)
  assert.match(await codePage({ issuerName }), /<h1>Sign-in did not finish<\/h1>/)
  assert.ok((await codePage({ issuerName, error: 'x', errorDescription: 'y'.repeat(9_000) })).length < 3_000)
})

test('a link that could run a script is left out', async () => {
  const docs = [
    'javascript:alert(1)',
    'data:text/html,x',
    '//evil.example',
    '/\\evil.example',
    '/docs',
    'https://example.com',
  ].map((href) => ({ label: 'link', href }))
  const html = await homePage({
    issuerName,
    issuer: 'https://auth.example.com/',
    mcpUrl: 'https://auth.example.com/mcp',
    docs,
  })
  const links = tags(html).filter((tag) => tag.startsWith('<a'))
  assert.deepEqual(links.slice(2), ['<a href="/docs">', '<a href="https://example.com">'])
  assert.match(html, /curl https:\/\/auth\.example\.com\/v1\/revoke/)
})

test('sign-out is confirmed through the form that was given', async () => {
  const html = await confirmSignOutPage({ issuerName, form, host: 'auth.example.com' })
  assert.equal(occurrences(html, form), 1)
  assert.match(html, /<button type="submit" form="op\.logoutForm" name="logout" value="yes"[^>]*>Sign out</)
  assert.match(html, /<button type="submit" form="op\.logoutForm" class="secondary">Stay signed in</)
})

test('the stylesheet and the logo bring nothing from elsewhere', () => {
  assert.doesNotMatch(stylesheet, /@import|url\(|<\//)
  assert.equal(occurrences(stylesheet, '{'), occurrences(stylesheet, '}'))
  assert.doesNotMatch(logo, /<script|<style|style=|href|\son\w+=/)
})

/** The pairs that stand on each other in the stylesheet, with what WCAG AA asks of each. */
const pairs: [front: string, back: string, least: number][] = [
  ...['paper', 'surface', 'sunk'].flatMap((back): [string, string, number][] => [
    ['ink', back, 4.5],
    ['soft', back, 4.5],
    ['accent', back, 4.5],
    ['accent-strong', back, 4.5],
  ]),
  ['bad', 'bad-sunk', 4.5],
  ['bad', 'surface', 4.5],
  ['on-accent', 'accent', 4.5],
  ['on-accent', 'accent-strong', 4.5],
  ['edge', 'surface', 3],
  ['end', 'surface', 3],
]

for (const [scheme, block] of Object.entries({
  light: stylesheet.slice(0, stylesheet.indexOf('@media')),
  dark: stylesheet.slice(stylesheet.indexOf('@media')),
})) {
  test(`contrast, ${scheme}`, () => {
    for (const [front, back, least] of pairs) {
      const ratio = contrast(colour(block, front), colour(block, back))
      assert.ok(ratio >= least, `${front} on ${back}: ${ratio.toFixed(2)}, wants ${least}`)
    }
  })
}

function colour(block: string, name: string): string {
  const found = new RegExp(`--${name}: #([0-9a-f]{6})`).exec(block)?.[1]
  assert.ok(found, name)
  return found
}

function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (high + 0.05) / (low + 0.05)
}

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

test('every-reason-has-words', () => {
  assert.deepEqual(new Set(TOLD_REASONS), new Set(REASONS))
  assert.deepEqual(new Set(Object.keys(REASON_WORDS)), new Set(REASONS))
})
