/* `fetch` as a page of another origin has it: what CORS does not allow is not sent, or can't be read. */

const SAFE_METHODS = ['GET', 'HEAD', 'POST']
const SAFE_HEADERS = ['accept', 'accept-language', 'content-language', 'range']
const SAFE_TYPES = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']
const SAFE_TO_READ = ['cache-control', 'content-language', 'content-length', 'content-type', 'expires']

export type Seen = { preflights: number; requests: number }

/** What a page of `origin` may do with the answer (Fetch standard, CORS check), or an error as it gets one. */
export function createBrowserFetch(origin: string, seen: Seen = { preflights: 0, requests: 0 }) {
  const list = (response: Response, name: string) =>
    (response.headers.get(name) ?? '').split(',').map((one) => one.trim().toLowerCase())

  function check(response: Response, what: string) {
    const allowed = response.headers.get('access-control-allow-origin')
    if (allowed !== '*' && allowed !== origin) throw new TypeError(`CORS: ${what} allows ${allowed}`)
    if (response.headers.get('access-control-allow-credentials') !== null) {
      throw new TypeError(`CORS: ${what} takes cookies of ours along`)
    }
  }
  async function preflight(request: Request, unsafe: string[]) {
    seen.preflights++
    const headers = {
      origin,
      'access-control-request-method': request.method,
      ...(unsafe.length > 0 ? { 'access-control-request-headers': unsafe.join(',') } : {}),
    }
    const response = await fetch(request.url, { method: 'OPTIONS', headers })
    check(response, 'the preflight')
    if (!response.ok) throw new TypeError(`CORS: the preflight was answered ${response.status}`)
    const methods = list(response, 'access-control-allow-methods')
    if (!SAFE_METHODS.includes(request.method) && !methods.includes(request.method.toLowerCase())) {
      throw new TypeError(`CORS: the method ${request.method} is not allowed`)
    }
    const allowed = list(response, 'access-control-allow-headers')
    for (const name of unsafe) {
      if (!allowed.includes(name)) throw new TypeError(`CORS: the header ${name} is not allowed`)
    }
  }
  return async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    const type = (request.headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
    const unsafe = [...request.headers.keys()]
      .filter((name) => !SAFE_HEADERS.includes(name))
      .filter((name) => name !== 'content-type' || !SAFE_TYPES.includes(type))
      .filter((name) => name !== 'user-agent')
      .sort()
    if (unsafe.length > 0 || !SAFE_METHODS.includes(request.method)) await preflight(request, unsafe)
    seen.requests++
    const headers = new Headers(request.headers)
    headers.set('origin', origin)
    const response = await fetch(new Request(request, { headers }))
    check(response, 'the answer')
    const exposed = list(response, 'access-control-expose-headers')
    const readable = [...response.headers].filter(
      ([name]) => SAFE_TO_READ.includes(name) || exposed.includes(name),
    )
    const { status, statusText } = response
    const body = [204, 304].includes(status) ? null : response.body
    return new Response(body, { status, statusText, headers: readable })
  }
}
