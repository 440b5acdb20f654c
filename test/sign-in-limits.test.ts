import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createBrowser, type Page } from '../tools/browser.ts'
import { DONE } from './relying-party.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest } from './sign-in.ts'

/* Guessing passwords: how often, from where, at whom, and what the answers give away. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }

describe('guessing a password', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority({ trustProxy: true })
    await addAccount(authority.authority.store, BOB, 'test', Date.now())
  })
  after(() => authority.stop())

  /** A sign-in page as a browser at an address has it open. */
  async function open(address: string) {
    const browser = createBrowser()
    const page: Page = await browser.open(authorizationRequest(authority.issuer).url, DONE)
    const action = /action="(\/interaction\/[^"]+\/login)"/.exec(page.html)?.[1]
    const cookie = [...browser.cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; ')
    return (email: string, password: string) =>
      fetch(`${authority.issuer}${action}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          accept: 'text/html',
          origin: authority.issuer,
          'x-forwarded-for': address,
          cookie,
        },
        body: new URLSearchParams({ email, password }).toString(),
        redirect: 'manual',
      })
  }
  /** How often a guess is answered before it is refused for being one too many. */
  async function answered(guess: (n: number) => Promise<Response>): Promise<number> {
    for (let n = 0; n < 100; n++) {
      const response = await guess(n)
      await response.arrayBuffer()
      if (response.status === 429) {
        assert.ok(Number(response.headers.get('retry-after')) > 0)
        return n
      }
      assert.equal(response.status, 401)
    }
    throw new Error('a hundred guesses were all answered')
  }

  it('one account, from many addresses: it is the account that is slowed down', async () => {
    const at = new Map<number, Awaited<ReturnType<typeof open>>>()
    for (let i = 0; i < 3; i++) at.set(i, await open(`192.0.2.${i}`))
    const guess = (n: number) => at.get(n % 3)?.(PERSON.email, `guess ${n}`) as Promise<Response>
    const tries = await answered(guess)
    assert.ok(tries >= 5 && tries <= 22, `${tries} guesses`)
    const elsewhere = await open('192.0.2.99')
    assert.equal((await elsewhere(PERSON.email.toUpperCase(), 'x')).status, 429, 'written otherwise')
    assert.equal((await elsewhere(PERSON.email, PERSON.password)).status, 429)
    assert.equal((await elsewhere(BOB.email, BOB.password)).status, 303, 'nobody else is')
    authority.advance(61_000)
    assert.equal((await elsewhere(PERSON.email, PERSON.password)).status, 303, 'and not for ever')
  })

  it('many accounts, from one address: it is the address that is slowed down', async () => {
    const here = await open('198.51.100.1')
    const began = performance.now()
    const tries = await answered((n) => here(`somebody-${n}@example.com`, 'a common password'))
    // One more every two seconds, however slow this machine is.
    const most = 30 + Math.ceil((performance.now() - began) / 2_000)
    assert.ok(tries >= 20 && tries <= most, `${tries} guesses`)
    assert.equal((await here(BOB.email, BOB.password)).status, 429)
    const elsewhere = await open('198.51.100.2')
    assert.equal((await elsewhere(BOB.email, BOB.password)).status, 303)
  })

  it('signing in with the right password is never slowed down', async () => {
    for (let n = 0; n < 35; n++) {
      const here = await open('203.0.113.1')
      assert.equal((await here(BOB.email, BOB.password)).status, 303, `sign-in ${n}`)
    }
  })

  it('a wrong password and an unknown account get the same answer, of the same headers and the same work', async () => {
    const shown: { status: number; html: string; headers: string[] }[] = []
    const took: Record<string, number[]> = { known: [], unknown: [] }
    const here = await open('203.0.113.2')
    for (let n = 0; n < 5; n++) {
      for (const [who, email] of [
        ['known', BOB.email],
        ['unknown', 'nobody@example.com'],
      ] as const) {
        const before = performance.now()
        const response = await here(email, 'a wrong password')
        const html = (await response.text()).replaceAll(email, 'EMAIL')
        took[who]?.push(performance.now() - before)
        const headers = [...response.headers.keys()].filter((name) => name !== 'date').sort()
        shown.push({ status: response.status, html, headers })
      }
    }
    for (const answer of shown) assert.deepEqual(answer, shown[0])
    assert.equal(shown[0]?.status, 401)
    // A password hash takes tens of milliseconds; an account that is looked up and not found takes one.
    const fastest = (list: number[] = []) => Math.min(...list)
    assert.ok(fastest(took.unknown) > fastest(took.known) / 3, `${fastest(took.unknown)} ms gives it away`)
  })
})
