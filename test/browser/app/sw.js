// Shows the app without a network, and keeps pages that it has seen; apps do so.

import config from '/config.js'
import { deliverLogouts } from '/worker.js'

const SHELL = ['/', '/login', '/callback', '/app.js', '/client.js', '/config.js']

deliverLogouts(config)
addEventListener('install', (event) => {
  skipWaiting()
  event.waitUntil(caches.open('shell').then((cache) => cache.addAll(SHELL)))
})
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  const { pathname, origin } = new URL(event.request.url)
  if (origin !== location.origin) return
  const cached = () => caches.match(event.request, { ignoreSearch: true })
  event.respondWith(
    fetch(event.request).then(
      async (response) => {
        if (pathname === '/private') await (await caches.open('private')).put(event.request, response.clone())
        return response
      },
      async () => (await cached()) ?? Response.error(),
    ),
  )
})
