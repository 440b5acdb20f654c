/** Asks the authority; as a form, which a page may send to another origin without asking for leave first. */
export function postForm(
  url: string,
  fields: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
    signal,
    credentials: 'omit',
    cache: 'no-store',
    // A page of some network that wants a sign-in is not the authority.
    redirect: 'error',
    // It goes on when the page is left.
    keepalive: true,
  })
}
