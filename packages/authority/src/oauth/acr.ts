/**
 * The one authentication context that we can give (OIDC Core §2, RFC 9470): the person typed their password. Who asks for
 * it gets a sign-in that was made for the request. A sign-in that may be somebody else's has none.
 */
export const PASSWORD_ACR = 'urn:rescind:acr:password'
