export type Heard = { event: string; id?: string; data: Record<string, unknown> }

export type Listening = {
  heard: Heard[]
  /** Resolves when the stream is over. */
  over: Promise<void>
  stop(): void
}

/** Follows `GET /v1/events` with a token, as an app would. @throws Error with the status when it is refused */
export async function listenTo(
  issuer: string,
  accessToken: string,
  lastEventId?: string,
): Promise<Listening> {
  const stopping = new AbortController()
  const response = await fetch(`${issuer}/v1/events`, {
    headers: {
      authorization: `Bearer ${accessToken}`,
      ...(lastEventId ? { 'last-event-id': lastEventId } : {}),
    },
    signal: stopping.signal,
  })
  if (response.status !== 200 || !response.body) throw new Error(`events answered ${response.status}`)
  const heard: Heard[] = []
  const read = async (body: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of body) {
      const parts = (text + decoder.decode(chunk, { stream: true })).split('\n\n')
      text = parts.pop() ?? ''
      for (const part of parts) {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(part)?.[1]
        const [event, id, data] = [field('event'), field('id'), field('data')]
        if (event && data) heard.push({ event, ...(id ? { id } : {}), data: JSON.parse(data) })
      }
    }
  }
  const over = read(response.body as ReadableStream<Uint8Array>).catch(() => {})
  return { heard, over, stop: () => stopping.abort() }
}
