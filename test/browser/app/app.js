// An app as a test needs one: it has private data in every storage there is.
import { createClient } from '/client.js'
import config from '/config.js'

const client = createClient(config)
const heard = []
const app = { client, config, heard, done: false, cleared: [] }
Object.assign(app, { dump, accessToken, fill, show, listen, expire, outbox, install })
globalThis.app = app

client.on('session-ended', (ended) => heard.push({ event: 'session-ended', ...ended }))
client.on('delivery', (delivery) => heard.push({ event: 'delivery', ...delivery }))
client.onClear((_ended, everywhere) => {
  app.cleared.push(everywhere)
  document.querySelector('#private').textContent = ''
})

if (location.pathname === '/callback') {
  try {
    await client.handleCallback()
    history.replaceState(null, '', '/')
  } catch (error) {
    app.failed = `${error.code} ${error.message}`
  }
}
await client.ready().catch(() => {})
if (client.state().status === 'signed-in' && location.pathname !== '/login') await show().catch(() => {})
app.done = true

async function show() {
  const response = await client.fetch(`${config.api}/notes`)
  const { notes } = await response.json()
  document.querySelector('#private').textContent = `private: ${notes.join(', ')}`
}

/** Private data, everywhere. */
async function fill() {
  const secret = 'private data of the person'
  localStorage.setItem('notes', secret)
  localStorage.setItem('shell', 'a theme that stays')
  sessionStorage.setItem('notes', secret)
  // biome-ignore lint/suspicious/noDocumentCookie: as apps do
  document.cookie = `notes=${encodeURIComponent(secret)}; path=/`
  await new Promise((resolve) => {
    const open = indexedDB.open('app-data', 1)
    open.onupgradeneeded = () => open.result.createObjectStore('notes')
    open.onsuccess = () => {
      const tx = open.result.transaction('notes', 'readwrite')
      tx.objectStore('notes').put(secret, 'all')
      tx.oncomplete = () => resolve(open.result.close())
    }
  })
  await (await caches.open('private')).put('/private', new Response(secret))
  await (await caches.open('shell')).put('/theme', new Response('a theme that stays'))
}

/** An event stream and a WebSocket, open until the session ends. */
async function listen() {
  const stream = await client.fetch(`${config.api}/events`)
  app.stream = 'open'
  const reader = stream.body.getReader()
  const end = () => {
    app.stream = 'closed'
  }
  const next = () => reader.read().then(({ done }) => (done ? end() : next()), end)
  next()
  app.socket = client.track(new WebSocket(config.socket))
  await new Promise((resolve) => {
    app.socket.onopen = resolve
  })
}

/** Makes the access token look as if it were about to expire, by the clock of this page. */
async function expire() {
  const { now } = Date
  Date.now = () => now() + 595_000
}

function all(db, store) {
  return new Promise((resolve) => {
    const request = db.transaction(store).objectStore(store).getAll()
    request.onsuccess = () => resolve(request.result)
  })
}

/** The logouts that wait. */
function outbox() {
  return new Promise((resolve) => {
    const open = indexedDB.open(`rescind:${config.clientId}`)
    open.onsuccess = async () => {
      resolve(await all(open.result, 'outbox'))
      open.result.close()
    }
  })
}

/** Installs the service worker, and waits until it is in control. */
async function install() {
  const controlled = new Promise((resolve) =>
    navigator.serviceWorker.addEventListener('controllerchange', resolve),
  )
  await navigator.serviceWorker.register('/sw.js', { type: 'module' })
  if (!navigator.serviceWorker.controller) await controlled
}

async function accessToken() {
  const seen = []
  const { fetch: real } = globalThis
  globalThis.fetch = (request, ...rest) => {
    seen.push(new Request(request).headers.get('authorization'))
    return real(request, ...rest)
  }
  await client.fetch(`${config.api}/notes`)
  globalThis.fetch = real
  return seen.find(Boolean)?.split(' ')[1]
}

async function dump() {
  const found = {
    local: { ...localStorage },
    session: { ...sessionStorage },
    cookie: document.cookie,
    databases: {},
    caches: {},
  }
  for (const { name } of await indexedDB.databases()) {
    found.databases[name] = await new Promise((resolve) => {
      const open = indexedDB.open(name)
      open.onsuccess = async () => {
        const read = {}
        for (const store of open.result.objectStoreNames) read[store] = await all(open.result, store)
        open.result.close()
        resolve(read)
      }
    })
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    found.caches[name] = await Promise.all(
      (await cache.keys()).map(async (key) => [key.url, await (await cache.match(key)).text()]),
    )
  }
  return JSON.stringify(found)
}
