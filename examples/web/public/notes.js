// A small app on @rescind/client. What it shows of a person goes with the session.
import { createClient } from '@rescind/client'

const find = (id) => document.getElementById(id)
const config = await (await fetch('/config.json')).json()
const client = createClient({
  authority: config.issuer,
  clientId: config.clientId,
  redirectUri: `${location.origin}/notes/callback`,
  scope: 'profile notes:read',
  resource: config.resource,
  origins: [new URL(config.api).origin],
  loginPage: '/notes',
})

client.onClear(() => {
  for (const id of ['who', 'notes', 'sessions']) find(id).textContent = ''
})
client.on('change', show)
client.on('other-session-ended', showSessions)
client.on('delivery', ({ server }) => {
  if (server !== 'queued') tell('The authority has confirmed your log-out.')
})
find('devices').href = `${config.issuer}/devices`
find('sign-in').addEventListener('click', () => client.signIn())
find('log-out').addEventListener('click', logOut)
find('end-others').addEventListener('click', async () => {
  await client.sessions.endOthers()
  await showSessions()
})

if (location.pathname === '/notes/callback') {
  await client.handleCallback().catch((error) => tell(error.message))
  history.replaceState(null, '', '/notes')
}
await client.ready()
show()

async function show() {
  const state = client.state()
  find('signed-in').hidden = state.status !== 'signed-in'
  find('signed-out').hidden = state.status === 'signed-in'
  if (state.status !== 'signed-in') return
  find('who').textContent = state.claims.name ?? state.claims.email ?? state.sub
  const response = await client.fetch(`${config.api}/notes`).catch(() => undefined)
  if (!response?.ok) return
  list('notes', (await response.json()).notes)
  await showSessions()
}

async function showSessions() {
  const sessions = await client.sessions.list().catch(() => [])
  const live = sessions.filter(({ endedAt }) => endedAt === undefined)
  list(
    'sessions',
    live.map(
      ({ client, device, current }) =>
        `${client.name}, ${device?.name ?? 'a device'}${current ? ' (here)' : ''}`,
    ),
  )
}

async function logOut() {
  const { local, server } = await client.logout({ redirectTo: false })
  const here =
    local === 'cleared' ? 'Nothing of you is left in this browser' : 'Not everything could be cleared here'
  const there = {
    confirmed: 'and the authority has confirmed it',
    'already-revoked': 'and the session had ended already',
    queued: 'and the authority will be told as soon as it can be reached',
    undelivered: 'but the authority could not be told',
  }
  tell(`${here}, ${there[server]}.`)
}

function tell(text) {
  find('told').hidden = false
  find('told').textContent = text
}

function list(id, texts) {
  const items = texts.map((text) => {
    const item = document.createElement('li')
    item.textContent = text
    return item
  })
  find(id).replaceChildren(...items)
}
