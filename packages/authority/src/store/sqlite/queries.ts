import type { AnswerOf, Query } from '../store.ts'
import type { SqliteTables as Tables } from './tables.ts'

/** Answers a question from what is committed. */
export function answer<Q extends Query>(tables: Tables, query: Q): AnswerOf<Q> {
  return ask(tables, query) as AnswerOf<Q>
}

function ask(tables: Tables, query: Query): AnswerOf<Query> {
  switch (query.kind) {
    case 'record':
      return tables.record(query.model, query.id)
    case 'record-by-uid':
      return tables.recordByUid(query.model, query.uid)
    case 'records':
      return tables.recordsOf(query.model)
    case 'session':
      return tables.session(query.sid)
    case 'browser-sessions':
      return tables.sessionsOfBrowser(query.browser, query.limit)
    case 'account-sessions':
      return tables.sessionsOf(query.sub, query.endedSince, query.limit)
    case 'sessions':
      return tables.sessionsAfter(query.after, query.limit)
    case 'list-sessions':
      return tables.listSessions(query)
    case 'cut-off-sessions':
      return tables.cutOffSessions(query.cutOff, query.after, query.limit)
    case 'device':
      return tables.device(query.id)
    case 'devices':
      return tables.devicesOf(query.sub)
    case 'cut-off-tokens':
      return tables.cutOffTokens(query.after, query.at, query.limit, query.clientId)
    case 'account':
      return tables.account(query.email)
    case 'account-by-sub':
      return tables.accountBySub(query.sub)
    case 'accounts':
      return tables.accounts(query.review === true, query.after, query.limit)
    case 'keys':
      return tables.keys()
    case 'revocations':
      return tables.revocations(query.after, query.since ?? 0, query.limit)
    case 'head':
      return tables.head()
    case 'tag':
      return tables.tagAt(query.seq)
    case 'status-lists':
      return tables.listsAt(query.at)
    case 'audit':
      return tables.audit(query.filter)
    case 'audit-page':
      return tables.auditPage(query.filter, query)
    case 'audit-anchor':
      return tables.anchor()
    case 'notify-cursor':
    case 'deliveries':
    case 'due-deliveries':
    case 'mail-history':
      return tables.askDeliveries(query)
  }
}
