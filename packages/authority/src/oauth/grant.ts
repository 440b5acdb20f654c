import { randomBytes } from 'node:crypto'
import type { Provider } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import { newSid } from '../domain/secret.ts'

/**
 * Records what a person allowed. Its id is the `sid` of the session that the code will open: one sign-in, one
 * grant, one session, also when the same browser signs in to the same client twice.
 */
export async function newGrant(
  authority: Authority,
  provider: Provider,
  facts: {
    accountId: string
    clientId: string
    oidcScopes: string[]
    resourceScopes: Record<string, string[]>
  },
) {
  const { accountId, clientId, oidcScopes, resourceScopes } = facts
  // The library's types leave out `jti`, which its models all take.
  const identity = { accountId, clientId, jti: newSid(authority.now(), randomBytes(10)) }
  const grant = new provider.Grant(identity)
  if (oidcScopes.length > 0) grant.addOIDCScope(oidcScopes.join(' '))
  for (const [resource, scopes] of Object.entries(resourceScopes)) {
    if (scopes.length > 0) grant.addResourceScope(resource, scopes.join(' '))
  }
  await grant.save()
  return grant
}
