import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from '../authority.ts'
import { changeAccount, endSessions, findOne, serveForm, showAccount, showStart } from './accounts.ts'
import { type Asking, letIn } from './asking.ts'
import {
  endMany,
  exportAudit,
  replayDeliveries,
  showAudit,
  showClients,
  showDeliveries,
  showEndMany,
  showServices,
} from './lists.ts'
import { sendLiveData, showLive } from './live.ts'

/* `/admin`: what administrators see and do in a browser, without script but for the live view. */

type Serve = (asking: Asking) => Promise<void>

const changing =
  (what: string): Serve =>
  (asking) =>
    serveForm(asking, () => changeAccount(asking, what))

/** By method and path; `*` stands for the `sub` of an account. */
const PAGES: Record<string, Serve> = {
  'GET /admin': showStart,
  'GET /admin/accounts': findOne,
  'GET /admin/accounts/*': showAccount,
  'POST /admin/accounts/*/end': (asking) => serveForm(asking, endSessions),
  'POST /admin/accounts/*/compromise': changing('compromise'),
  'POST /admin/accounts/*/deactivate': changing('deactivate'),
  'POST /admin/accounts/*/reactivate': changing('reactivate'),
  'POST /admin/accounts/*/reviewed': changing('reviewed'),
  'GET /admin/clients': showClients,
  'GET /admin/services': showServices,
  'GET /admin/deliveries': showDeliveries,
  'POST /admin/deliveries/replay': replayDeliveries,
  'GET /admin/audit': showAudit,
  'GET /admin/audit/export': exportAudit,
  'GET /admin/live': showLive,
  'GET /admin/live/data': sendLiveData,
  'GET /admin/end': showEndMany,
  'POST /admin/end': endMany,
}

/**
 * What is done at a path of the console, by method; nothing for any other path.
 * @returns the pattern of the path, the methods that it takes, and what serves them
 */
export function consoleRoute(authority: Authority, path: string) {
  const [, sub = ''] = /^\/admin\/accounts\/([\w-]{1,64})(?:\/|$)/.exec(path) ?? []
  const target = sub ? path.replace(`/accounts/${sub}`, '/accounts/*') : path
  const methods = Object.keys(PAGES)
    .filter((name) => name.split(' ')[1] === target)
    .flatMap((name) => (name.startsWith('GET ') ? ['GET', 'HEAD'] : ['POST']))
  if (methods.length === 0) return undefined
  return {
    pattern: target.replace('*', '{sub}'),
    methods,
    async serve(req: IncomingMessage, res: ServerResponse, url: URL) {
      const asking = await letIn(authority, req, res, url, sub)
      const method = req.method === 'HEAD' ? 'GET' : req.method
      if (asking) await PAGES[`${method} ${target}`]?.(asking)
    },
  }
}
