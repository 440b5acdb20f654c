import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Authority } from '../authority.ts'
import { guardsEverywhere, watchedEverywhere } from '../everywhere.ts'
import { PAGE_HEADERS, sendHtml, sendJson } from '../http/respond.ts'
import { type LiveData, livePage, WORDS } from '../pages/console/live.ts'
import type { Asking } from './asking.ts'

/* `/admin/live`: the only page with a script, which is ours and comes from here. */

const COUNTED = 1_000

/** What the page of the live view loads, by path. */
export function liveAssets(): Map<string, { type: string; text: string }> {
  const script = 'text/javascript; charset=utf-8'
  const read = (url: string) => readFileSync(fileURLToPath(url), 'utf8')
  const own = new URL('../pages/console/live.js', import.meta.url).href
  const plot = import.meta.resolve('uplot')
  return new Map([
    ['/assets/live.js', { type: script, text: read(own) }],
    ['/assets/preact.js', { type: script, text: read(import.meta.resolve('preact')) }],
    ['/assets/uplot.js', { type: script, text: read(new URL('uPlot.esm.js', plot).href) }],
    [
      '/assets/uplot.css',
      { type: 'text/css; charset=utf-8', text: read(new URL('uPlot.min.css', plot).href) },
    ],
  ])
}

/** `GET /admin/live` */
export async function showLive({ authority, res }: Asking): Promise<void> {
  const html = await livePage({ issuerName: authority.config.name, data: await liveData(authority) })
  const policy = `${PAGE_HEADERS['content-security-policy']}; script-src 'self'; connect-src 'self'`
  sendHtml(res, 200, html, { 'content-security-policy': policy })
}

/** `GET /admin/live/data` */
export async function sendLiveData({ authority, res }: Asking): Promise<void> {
  sendJson(res, 200, await liveData(authority))
}

async function liveData(authority: Authority): Promise<LiveData> {
  const { store } = authority
  const count = async (state: 'waiting' | 'dead') =>
    (await store.read({ kind: 'deliveries', state, limit: COUNTED })).length
  const [waiting, dead] = await Promise.all([count('waiting'), count('dead')])
  const [{ at, slots, confirmations }, all] = await Promise.all([
    watchedEverywhere(authority),
    guardsEverywhere(authority),
  ])
  const states = new Map(all.map((one) => [one.guard, one]))
  const guards = confirmations.flatMap(({ guard, count, p50, p95, p99 }) => {
    const state = states.get(guard)
    return state ? [{ guard, resources: state.resources, count, p50, p95, p99, behind: state.behind }] : []
  })
  return { at, slots, guards, deliveries: { waiting, dead }, words: WORDS }
}
