import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { REASONS } from '../domain/reason.ts'
import { codePage } from './code.ts'
import { consentPage } from './consent.ts'
import { devicesPage } from './devices.ts'
import { endedPage, TOLD_REASONS } from './ended.ts'
import { errorPage } from './error.ts'
import { homePage } from './home.ts'
import { logo } from './logo.ts'
import { REASON_WORDS } from './reasons.ts'
import { signInPage } from './sign-in.ts'
import { confirmSignOutPage, stayedPage } from './signed-out.ts'
import { stylesheet } from './styles.ts'

/** One string that breaks out of text, of either kind of quoted attribute and of a textarea, if anything lets it. */
const hostile = `"><img src=x onerror=alert(1)></textarea><script>alert('x')</script>' onfocus='alert(1)`

const form =
  '<form id="op.logoutForm" method="post" action="/x"><input type="hidden" name="xsrf" value="1"/></form>'

/** What an account is signed in on, all of it called the same. */
function account(text: string) {
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

function everyPage(text: string): Record<string, Promise<string>> {
  return {
    'sign-in': signInPage({ action: text, cancelAction: text, clientName: text }),
    'sign-in, failed': signInPage({
      action: text,
      cancelAction: text,
      clientName: text,
      email: text,
      error: text,
      reason: text,
    }),
    consent: consentPage({
      action: text,
      cancelAction: text,
      clientName: text,
      clientUri: text,
      redirectHost: text,
      accountEmail: text,
      scopes: [{ name: text, description: text }],
      resource: text,
    }),
    code: codePage({ code: text, state: text, iss: text }),
    'code, failed': codePage({ error: text, errorDescription: text }),
    error: errorPage({ title: text, message: text, code: text, requestId: text }),
    home: homePage({ issuer: text, mcpUrl: text, docs: [{ label: text, href: `/${text}` }] }),
    'signed out': stayedPage({ clientName: text }),
    devices: devicesPage({ issuerName: 'Rescind', email: text, ...account(text) }),
    ended: endedPage({
      ...{ issuerName: 'Rescind', reason: 'device_removed', at: 0, code: text },
      personal: { email: text, app: text, device: text, address: text },
    }),
    'ended, before a sign-in': endedPage({ issuerName: 'Rescind', reason: 'token_reuse', at: 0, code: text }),
    'confirm sign out': confirmSignOutPage({ form, host: text }),
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
      assert.match(html, /<title>[^<]+ · Rescind<\/title>/)
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
          const id = attribute(tag, reference)
          if (id !== undefined) assert.ok(ids.includes(id), `${reference} of ${tag}`)
        }
      }
    })
  })
}

test('sign-in keeps the email, never a password, and points at the error', async () => {
  const html = await signInPage({
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
  const html = await codePage({ code: 'a"b\\c', state: 's', iss: 'https://auth.example.com' })
  const line = /<textarea[^>]*>\n([^<]*)<\/textarea>/.exec(html)?.[1] ?? ''
  const unescaped = line.replaceAll('&quot;', '"').replaceAll('&amp;', '&')
  assert.deepEqual(JSON.parse(unescaped), { code: 'a"b\\c', state: 's', iss: 'https://auth.example.com' })
})

test('a sign-in that failed says why, in our words, and shows no code', async () => {
  assert.match(await codePage({ error: 'access_denied', code: 'c' }), /<h1>You did not allow it<\/h1>/)
  assert.doesNotMatch(await codePage({ error: 'access_denied', code: 'c' }), /<textarea/)
  assert.match(await codePage({ error: 'constructor' }), /<h1>Sign-in did not finish<\/h1>/)
  assert.match(await codePage({}), /<h1>Sign-in did not finish<\/h1>/)
  assert.ok((await codePage({ error: 'x', errorDescription: 'y'.repeat(9_000) })).length < 3_000)
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
    issuer: 'https://auth.example.com/',
    mcpUrl: 'https://auth.example.com/mcp',
    docs,
  })
  const links = tags(html).filter((tag) => tag.startsWith('<a'))
  assert.deepEqual(links, ['<a href="/docs">', '<a href="https://example.com">'])
  assert.match(html, /curl https:\/\/auth\.example\.com\/v1\/revoke/)
})

test('sign-out is confirmed through the form that was given', async () => {
  const html = await confirmSignOutPage({ form, host: 'auth.example.com' })
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
