import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Webhook } from 'standardwebhooks'
import { signWebhook } from '../packages/authority/src/notify/send.ts'
import type { Delivery } from '../packages/authority/src/store/deliveries.ts'
import { until } from '../packages/guard/test/peer.ts'
import { spawnAuthority } from './processes.ts'
import { type Receiver, startReceiver } from './receiver.ts'
import { freePort, PERSON, startTestAuthority, type TestAuthority, tamper } from './setup.ts'
import { lives, post, signIn, type Tokens } from './sign-in.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const MINUTE = 60_000
const SESSIONS = ['session.opened', 'session.ended']

function webhook(url: string, events?: string[]) {
  return { url, secret: SECRET, ...(events ? { events } : {}) } as never
}

function logOut(issuer: string, tokens: Tokens): Promise<Response> {
  const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
  return post(`${issuer}/v1/revoke`, pair)
}

type Event = { type: string; timestamp: string; data: Record<string, unknown> }
const eventsAt = (receiver: Receiver) => receiver.received.map(({ body }) => JSON.parse(body) as Event)

function deliveries({ authority }: TestAuthority, state?: Delivery['state']): Promise<Delivery[]> {
  return authority.store.read({ kind: 'deliveries', state, limit: 1_000 })
}

describe('a webhook', () => {
  it('hears of a session from its beginning to its end, signed by Standard Webhooks', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority({
      webhooks: [webhook(`${receiver.url}/hook?key=secret`, SESSIONS)],
    })
    const tokens = await signIn(authority.issuer)
    await logOut(authority.issuer, tokens)
    await until(async () => (await deliveries(authority, 'delivered')).length >= 2)
    const [opened, ended] = SESSIONS.map((type) => eventsAt(receiver).find((one) => one.type === type))
    assert.ok(Number(opened?.data.n) < Number(ended?.data.n), 'their order can be told')
    assert.equal(ended?.data.reason, 'user_logout')
    assert.equal(ended?.data.sid, opened?.data.sid)
    for (const { headers, body, path } of receiver.received) {
      assert.equal(path, '/hook?key=secret')
      assert.deepEqual(new Webhook(SECRET).verify(body, headers), JSON.parse(body))
      assert.throws(() => new Webhook(SECRET).verify(`${body} `, headers))
      assert.throws(() => new Webhook(`whsec_${btoa('another secret of 24 bytes')}`).verify(body, headers))
    }
    const stored = await deliveries(authority, 'delivered')
    assert.deepEqual(
      stored.map(({ id }) => id).sort(),
      receiver.received.map(({ headers }) => headers['webhook-id']).sort(),
    )
    assert.doesNotMatch(JSON.stringify(stored), /key=secret|whsec/)
    await authority.stop()
    await receiver.close()
  })

  it('signs what the example of the specification signs', () => {
    const [id, at, body] = ['msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330', '{"test": 2432232314}']
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    assert.equal(signWebhook(secret, id, at, body), 'g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  })

  it('is verified by the example of the docs', async () => {
    const docs = readFileSync(join(import.meta.dirname, '../docs/notices.md'), 'utf8')
    const example = /```js\n([\s\S]*?)```/.exec(docs)?.[1] ?? ''
    const { verify } = await import(`data:text/javascript,${encodeURIComponent(example)}`)
    const at = `${Math.floor(Date.now() / 1000)}`
    const signature = `v1,bm90IHRoaXM= v1,${signWebhook(SECRET, 'id', at, '{}')}`
    const headers = { 'webhook-id': 'id', 'webhook-timestamp': at, 'webhook-signature': signature }
    verify(headers, '{}', SECRET)
    assert.throws(() => verify(headers, '{ }', SECRET), /forged/)
    assert.throws(() => verify({ ...headers, 'webhook-id': 'other' }, '{}', SECRET), /forged/)
    assert.throws(() => verify({ ...headers, 'webhook-timestamp': '1' }, '{}', SECRET), /too old/)
    assert.throws(() => verify({}, '{}', SECRET), /too old/)
  })

  it('hears only of the events that it asked for', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority({
      webhooks: [webhook(`${receiver.url}/ended`, ['session.ended']), webhook(`${receiver.url}/all`)],
    })
    await logOut(authority.issuer, await signIn(authority.issuer))
    await until(() => receiver.received.length >= 5)
    const toEnded = receiver.received.filter(({ path }) => path === '/ended')
    assert.deepEqual(
      toEnded.map(({ body }) => (JSON.parse(body) as Event).type),
      ['session.ended'],
    )
    assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 5)
    await authority.stop()
    await receiver.close()
  })

  it('is tried again with the same id, and not before it wants to be', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, ['session.opened'])] })
    receiver.answer = (_req, res) => void res.writeHead(500).end('no')
    await signIn(authority.issuer)
    await until(async () => (await deliveries(authority))[0]?.attempts === 1)
    receiver.answer = (_req, res) => void res.writeHead(503, { 'retry-after': '300' }).end()
    authority.advance(7_000)
    await until(async () => (await deliveries(authority))[0]?.attempts === 2)
    const [waiting] = await deliveries(authority, 'waiting')
    assert.equal(waiting?.lastError, 'it answered 503')
    assert.ok((waiting?.nextAt ?? 0) > authority.authority.now() + 290_000)
    receiver.answer = (_req, res) => void res.writeHead(200).end()
    authority.advance(2 * MINUTE)
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    assert.equal(receiver.received.length, 2, 'it was asked before the time that it gave')
    authority.advance(4 * MINUTE)
    await until(async () => (await deliveries(authority, 'delivered')).length === 1)
    assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1)
    assert.equal(new Set(receiver.received.map(({ body }) => body)).size, 1)
    const stamps = receiver.received.map(({ headers }) => headers['webhook-timestamp'])
    assert.equal(new Set(stamps).size, 3, 'each attempt is signed anew')
    await authority.stop()
    await receiver.close()
  })

  it('that redirects is not followed', async () => {
    const [receiver, elsewhere] = [await startReceiver(), await startReceiver()]
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, ['session.opened'])] })
    receiver.answer = (_req, res) => void res.writeHead(307, { location: elsewhere.url }).end()
    await signIn(authority.issuer)
    await until(async () => (await deliveries(authority))[0]?.lastError === 'it answered 307')
    assert.equal(elsewhere.received.length, 0)
    await authority.stop()
    await Promise.all([receiver.close(), elsewhere.close()])
  })

  it('that is down delays no revocation, and hears of it when it is back', async () => {
    const port = await freePort()
    const authority = await startTestAuthority({ webhooks: [webhook(`http://127.0.0.1:${port}`, SESSIONS)] })
    const tokens = await signIn(authority.issuer)
    assert.equal((await logOut(authority.issuer, tokens)).status, 200)
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    await until(async () => (await deliveries(authority)).filter((one) => one.attempts >= 1).length === 2)
    assert.equal((await deliveries(authority))[0]?.lastError, 'ECONNREFUSED')
    await authority.restart()
    const receiver = await startReceiver(port)
    authority.advance(10 * MINUTE)
    await until(() => receiver.received.length >= 2)
    assert.deepEqual(
      eventsAt(receiver)
        .map(({ type }) => type)
        .sort(),
      ['session.ended', 'session.opened'],
    )
    await authority.stop()
    await receiver.close()
  })

  it('that never answers delays no other', async () => {
    const [slow, quick] = [await startReceiver(), await startReceiver()]
    slow.answer = () => {}
    const authority = await startTestAuthority({
      webhooks: [webhook(slow.url, SESSIONS), webhook(quick.url, SESSIONS)],
    })
    for (let i = 0; i < 8; i++) await logOut(authority.issuer, await signIn(authority.issuer))
    await until(() => quick.received.length >= 16)
    assert.equal(slow.received.length, 4, 'so many at a time for one receiver')
    await until(async () => (await deliveries(authority, 'waiting')).length === 16)
    await authority.stop()
    await Promise.all([slow.close(), quick.close()])
  })

  it('that sends an endless answer is cut off', async () => {
    const receiver = await startReceiver()
    let cut = false
    receiver.answer = (_req, res) => {
      res.writeHead(200)
      const more = setInterval(() => res.write('x'.repeat(32_768)), 5)
      res.on('close', () => {
        clearInterval(more)
        cut = true
      })
    }
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, ['session.opened'])] })
    await signIn(authority.issuer)
    await until(() => cut)
    await until(async () => (await deliveries(authority, 'delivered')).length === 1)
    await authority.stop()
    await receiver.close()
  })
})

describe('what is given up', () => {
  it('is dead after a day, is listed, and can be replayed while the authority runs', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, ['session.opened'])] })
    receiver.answer = (_req, res) => void res.writeHead(500).end()
    await signIn(authority.issuer)
    for (let attempts = 1; (await deliveries(authority, 'dead')).length === 0; attempts++) {
      await until(async () => {
        const [one] = await deliveries(authority)
        return one?.state === 'dead' || one?.attempts === attempts
      })
      assert.ok(attempts < 20)
      const [one] = await deliveries(authority)
      if (one?.state === 'waiting') authority.advance(Math.max(0, one.nextAt - authority.authority.now()))
    }
    const [dead] = await deliveries(authority)
    const age = authority.authority.now() - (dead?.createdAt ?? 0)
    assert.ok(age > 18 * 60 * MINUTE && age <= 24 * 60 * MINUTE, `given up after ${age / MINUTE} minutes`)
    assert.equal(dead?.attempts, receiver.received.length)

    const at = ['--data', authority.config.data]
    const rescind = (...args: string[]) =>
      promisify(execFile)(process.execPath, [CLI, 'deliveries', ...args, ...at])
    const listed = (await rescind('--state', 'dead', '--json')).stdout.trim().split('\n')
    assert.equal(listed.length, 1)
    assert.equal(JSON.parse(`${listed[0]}`).lastError, 'it answered 500')
    assert.match(
      (await rescind()).stdout,
      /^msg_\S+\tdead\twebhook\tsession\.opened\thttp.*it answered 500\n$/,
    )
    receiver.answer = (_req, res) => void res.writeHead(204).end()
    const before = receiver.received.length
    assert.match((await rescind('replay', `${dead?.id}`)).stdout, /^1 delivery is tried again/)
    await until(() => receiver.received.length === before + 1)
    await until(async () => (await deliveries(authority, 'delivered')).length === 1)
    assert.equal(receiver.received.at(-1)?.headers['webhook-id'], dead?.id)
    assert.match((await rescind('replay', '--all-dead')).stdout, /^0 deliveries/)
    await assert.rejects(rescind('replay', 'msg_none'), /There is no dead delivery msg_none/)
    await assert.rejects(rescind('--state', 'lost'), /allowed: waiting, delivered, dead/)
    await authority.stop()
    await receiver.close()
  })

  it('is so at once when the receiver says that it is gone', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, ['session.opened'])] })
    receiver.answer = (_req, res) => void res.writeHead(410).end()
    await signIn(authority.issuer)
    await until(async () => (await deliveries(authority, 'dead')).length === 1)
    await authority.stop()
    await receiver.close()
  })

  it('is forgotten in the end', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, ['session.opened'])] })
    await signIn(authority.issuer)
    await until(async () => (await deliveries(authority, 'delivered')).length === 1)
    authority.advance(8 * 24 * 60 * MINUTE)
    await signIn(authority.issuer)
    await until(() => receiver.received.length === 2)
    await until(async () => (await deliveries(authority)).length === 1)
    await authority.stop()
    await receiver.close()
  })
})

describe('the place in the audit log', () => {
  it('begins at the end: a webhook that is added later hears nothing of the past', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority()
    await logOut(authority.issuer, await signIn(authority.issuer))
    authority.config.webhooks = [webhook(receiver.url)]
    // As in a data directory from before there were notices.
    await tamper(authority, "DELETE FROM counters WHERE name = 'notify-cursor'")
    await authority.restart()
    await signIn(authority.issuer)
    await until(() => receiver.received.length >= 2)
    assert.deepEqual(
      eventsAt(receiver)
        .map(({ type }) => type)
        .sort(),
      ['device.added', 'session.opened'],
    )
    await authority.stop()
    await receiver.close()
  })

  it('is where it was after a time in which nobody wanted to know', async () => {
    const receiver = await startReceiver()
    const authority = await startTestAuthority()
    await logOut(authority.issuer, await signIn(authority.issuer))
    authority.config.webhooks = [webhook(receiver.url, SESSIONS)]
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    await authority.restart()
    await signIn(authority.issuer)
    await until(() => receiver.received.length >= 1)
    assert.equal(eventsAt(receiver).length, 1)
    await authority.stop()
    await receiver.close()
  })

  it('survives kill -9 between the commit and the delivery: every event comes, each under one id', async () => {
    const receiver = await startReceiver()
    const process = await spawnAuthority({ webhooks: [webhook(receiver.url, ['session.ended'])] })
    const ended = new Set<string>()
    for (let round = 0; round < 6; round++) {
      // In odd rounds the receiver has it already, and the authority never learns that.
      receiver.answer = round % 2 === 0 ? (_req, res) => void res.writeHead(204).end() : () => {}
      const tokens = await signIn(process.issuer)
      const answered = await logOut(process.issuer, tokens)
      assert.equal(answered.status, 200)
      ended.add(`${JSON.parse(atob(`${tokens.access_token.split('.')[1]}`)).sid}`)
      if (round % 3 === 2) await new Promise((resolve) => setTimeout(resolve, 150))
      await process.kill()
      await process.start()
    }
    receiver.answer = (_req, res) => void res.writeHead(204).end()
    await process.kill()
    await process.start()
    const heard = () => new Set(eventsAt(receiver).map(({ data }) => `${data.sid}`))
    await until(() => heard().size === ended.size)
    assert.deepEqual([...heard()].sort(), [...ended].sort())
    const byEvent = new Map<unknown, Set<unknown>>()
    for (const { headers, body } of receiver.received) {
      const { sid } = (JSON.parse(body) as Event).data
      byEvent.set(sid, (byEvent.get(sid) ?? new Set()).add(headers['webhook-id']))
    }
    for (const ids of byEvent.values()) assert.equal(ids.size, 1, 'one event came under two ids')
    assert.equal(new Set([...byEvent.values()].flatMap((ids) => [...ids])).size, ended.size)
    await process.stop()
    await receiver.close()
  })
})

describe('an account', () => {
  it('has its password and its failed sign-ins told to webhooks', async () => {
    const receiver = await startReceiver()
    const events = ['account.password_changed', 'signin.failed', 'account.created']
    const authority = await startTestAuthority({ webhooks: [webhook(receiver.url, events)] })
    const wrong = { ...PERSON, password: 'not the password' }
    await assert.rejects(signIn(authority.issuer, { person: wrong }))
    await until(() => receiver.received.length >= 2)
    const types = eventsAt(receiver).map(({ type }) => type)
    assert.ok(types.includes('account.created') && types.includes('signin.failed'))
    assert.doesNotMatch(JSON.stringify(eventsAt(receiver)), /ann@example|password of/)
    await authority.stop()
    await receiver.close()
  })
})
