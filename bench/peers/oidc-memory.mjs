/** The library’s own adapter in memory forgets all but a thousand entries: this one has maps and nothing else. */
export function inMemory() {
  function adapter() {
    const rows = new Map()
    const ofGrant = new Map()
    return {
      async upsert(id, payload) {
        rows.set(id, payload)
        const { grantId } = payload
        if (grantId === undefined) return
        const others = ofGrant.get(grantId)
        if (others) others.push(id)
        else ofGrant.set(grantId, [id])
      },
      find: async (id) => rows.get(id),
      async consume(id) {
        rows.get(id).consumed = Math.floor(Date.now() / 1000)
      },
      async destroy(id) {
        rows.delete(id)
      },
      async revokeByGrantId(grantId) {
        for (const id of ofGrant.get(grantId) ?? []) rows.delete(id)
        ofGrant.delete(grantId)
      },
    }
  }
  return { adapter, together: (work) => work() }
}
