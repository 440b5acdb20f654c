// A React component that follows the session.
import { useSession } from '@rescind/client/react'
import { createElement } from 'react'
import { createRoot } from 'react-dom/client'

export function show(client) {
  const place = document.body.appendChild(document.createElement('div'))
  createRoot(place).render(createElement(Status, { client }))
}

function Status({ client }) {
  return createElement('p', { id: 'status' }, useSession(client).status)
}
