import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { type ExampleWeb, startExampleWeb } from './web.ts'

let web: ExampleWeb

before(async () => {
  web = await startExampleWeb({
    port: 0,
    issuer: 'http://127.0.0.1:4000',
    clientId: 'web',
    api: 'http://127.0.0.1:4001/api',
    resource: 'http://127.0.0.1:4001',
  })
})
after(() => web.close())

test('the app and everything it loads are served, under a strict policy', async () => {
  for (const path of [
    '/',
    '/callback?code=c&state=s',
    '/app.js',
    '/oauth.js',
    '/api.js',
    '/view.js',
    '/style.css',
    '/notes',
    '/notes/callback?code=c&state=s',
    '/notes.js',
    '/logo.svg',
  ]) {
    const response = await fetch(web.url + path)
    assert.equal(response.status, 200, path)
    assert.ok((await response.text()).length > 0, path)
    const policy = response.headers.get('content-security-policy') ?? ''
    assert.match(policy, /default-src 'none'; script-src 'self';/)
    assert.match(policy, /connect-src 'self' http:\/\/127\.0\.0\.1:4000 http:\/\/127\.0\.0\.1:4001;/)
    assert.doesNotMatch(policy, /unsafe/)
  }
})

test('the configuration names the redirect URI of the port that was taken', async () => {
  const response = await fetch(`${web.url}/config.json`)
  assert.deepEqual(await response.json(), {
    issuer: 'http://127.0.0.1:4000',
    clientId: 'web',
    api: 'http://127.0.0.1:4001/api',
    resource: 'http://127.0.0.1:4001',
    redirectUri: `${web.url}/callback`,
  })
})

test('nothing else on the disk is served, and nothing is written', async () => {
  for (const path of ['/web.ts', '/package.json', '/%2e%2e/web.ts', '/public/app.js', '/constructor']) {
    assert.equal((await fetch(web.url + path)).status, 404, path)
  }
  assert.equal((await fetch(`${web.url}/config.json`, { method: 'POST', body: '{}' })).status, 405)
})

test('another name of this machine leads to the one origin', async () => {
  const location = await new Promise((resolve, reject) => {
    request(`${web.url}/app.js`, { headers: { host: 'localhost:1' } }, (response) => {
      response.resume()
      resolve(response.headers.location)
    })
      .on('error', reject)
      .end()
  })
  assert.equal(location, `${web.url}/app.js`)
})
