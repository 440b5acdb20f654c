import { ADMIN_SCOPE, adminResource } from './administrators.ts'
import type { Config } from './config.ts'
import { CODE_PATH } from './oauth/routes.ts'
import { OWN_PAGES, PAGES_CLIENT } from './oauth/signed-in.ts'

/** The client that agents sign in with when they bring none of their own. */
export const AGENT_CLIENT = 'rescind-agent'

/** Adds what every authority has: a client for agents, and as resources its MCP endpoint and its administration. */
export function withBuiltIns(config: Config): Config {
  const { issuer } = config
  const scopes = { 'account:read': 'See whose session this is' }
  const agent = {
    client_id: AGENT_CLIENT,
    client_name: 'An agent of yours',
    redirect_uris: [`${issuer}${CODE_PATH}`],
    token_endpoint_auth_method: 'none',
    firstParty: false,
  }
  const mcp = { resource: `${issuer}/mcp`, name: `${config.name} MCP`, scopes }
  const administration = {
    resource: adminResource(issuer),
    name: `${config.name} administration`,
    scopes: { [ADMIN_SCOPE]: 'End anybody’s sessions, and change any account' },
  }
  const pages: Config['clients'][number] = {
    client_id: PAGES_CLIENT,
    client_name: config.name,
    redirect_uris: OWN_PAGES.map((path) => issuer + path),
    response_types: ['none'],
    grant_types: [],
    token_endpoint_auth_method: 'none',
    firstParty: true,
  }
  return {
    ...config,
    clients: [agent, pages, ...config.clients],
    resources: [...config.resources, mcp, ...(config.admins.length > 0 ? [administration] : [])],
  }
}
