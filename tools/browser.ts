/** A browser without JavaScript: keeps cookies, follows redirects, fills in the first form of a page. */
export type Browser = {
  /** Goes to an address and on through redirects, up to one that `stop` matches. */
  open(url: string, stop?: RegExp): Promise<Page>
  /** Submits a form of the page with these fields. */
  submit(page: Page, action: RegExp, fields: Record<string, string>, stop?: RegExp): Promise<Page>
  cookies: Map<string, string>
}

export type Page = { url: string; status: number; html: string }

/** @param userAgent what it says of itself; nothing much, when it is left out */
export function createBrowser(userAgent?: string): Browser {
  // By origin and path, as far as the authority uses them: a cookie of a path is sent below that path.
  const cookies = new Map<string, string>()

  function remember(url: URL, response: Response) {
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(/;\s*/)
      const [name = '', value = ''] = pair.split(/=(.*)/s)
      const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? '/'
      const key = `${url.origin} ${path} ${name}`
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(key)
      else cookies.set(key, value)
    }
  }
  function cookieHeader(url: URL): string {
    const sent: string[] = []
    for (const [key, value] of cookies) {
      const [origin, path = '/', name] = key.split(' ')
      if (origin === url.origin && url.pathname.startsWith(path)) sent.push(`${name}=${value}`)
    }
    return sent.join('; ')
  }
  async function follow(target: string, init: RequestInit, stop?: RegExp): Promise<Page> {
    let url = new URL(target)
    let request = init
    for (let hops = 0; hops < 20; hops++) {
      if (stop?.test(url.href)) return { url: url.href, status: 0, html: '' }
      const headers = {
        ...(request.headers as Record<string, string>),
        cookie: cookieHeader(url),
        accept: 'text/html',
        ...(userAgent === undefined ? {} : { 'user-agent': userAgent }),
      }
      const response = await fetch(url, { ...request, headers, redirect: 'manual' })
      remember(url, response)
      const location = response.headers.get('location')
      if (!location) return { url: url.href, status: response.status, html: await response.text() }
      url = new URL(location, url)
      request = {}
    }
    throw new Error(`too many redirects, the last one to ${url.origin}${url.pathname}`)
  }
  return {
    cookies,
    open: (url, stop) => follow(url, {}, stop),
    submit(page, action, fields, stop) {
      const target = [...page.html.matchAll(/<form[^>]*action="([^"]+)"/g)].find(([, to]) =>
        action.test(`${to}`),
      )?.[1]
      if (!target) throw new Error(`no form for ${action} on ${page.url} (${page.status})`)
      const { origin } = new URL(page.url)
      const hidden = [...page.html.matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([tag]) => [
        /name="([^"]+)"/.exec(tag)?.[1] ?? '',
        /value="([^"]*)"/.exec(tag)?.[1] ?? '',
      ])
      return follow(
        new URL(target, page.url).href,
        {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded', origin },
          body: new URLSearchParams({ ...Object.fromEntries(hidden), ...fields }).toString(),
        },
        stop,
      )
    },
  }
}

/**
 * Signs in and allows, from an authorization URL to the redirect.
 * @returns the address that the browser was sent back to, with its code
 */
export async function signInThrough(
  browser: Browser,
  authorizationUrl: string,
  person: { email: string; password: string },
  redirect: RegExp,
): Promise<URL> {
  let page = await browser.open(authorizationUrl, redirect)
  for (let steps = 0; steps < 4 && !redirect.test(page.url); steps++) {
    page = /name="password"/.test(page.html)
      ? await browser.submit(page, /\/login$/, person, redirect)
      : await browser.submit(page, /\/consent$/, {}, redirect)
  }
  if (!redirect.test(page.url)) throw new Error(`the sign-in did not return: ${page.status} at ${page.url}`)
  return new URL(page.url)
}
