/** Within which every request has to end, in ms. */
export const BOUND = 30_000

export type Answer =
  | { kind: 'answer'; status: number; body: Record<string, unknown> }
  /** It broke off, or was given up. */
  | { kind: 'lost'; why: string }
  | { kind: 'hung' }

export type Request = {
  method?: string
  headers?: Record<string, string>
  json?: unknown
  form?: Record<string, string>
  /** After which it is given up, in ms. */
  patience?: number
}

export async function ask(
  url: string,
  { json, form, patience = BOUND, ...request }: Request,
): Promise<Answer> {
  const headers: Record<string, string> = { ...request.headers }
  if (json !== undefined) headers['content-type'] = 'application/json'
  try {
    const response = await fetch(url, {
      method: request.method ?? 'POST',
      headers,
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
      signal: AbortSignal.timeout(patience),
    })
    const text = await response.text()
    return { kind: 'answer', status: response.status, body: text.startsWith('{') ? JSON.parse(text) : {} }
  } catch (error) {
    const { name, cause, message } = error as Error & { cause?: { code?: string } }
    if (name === 'TimeoutError')
      return patience === BOUND ? { kind: 'hung' } : { kind: 'lost', why: 'given up' }
    return { kind: 'lost', why: cause?.code ?? message }
  }
}
