/*
 * oidc-provider prints a notice when Node does not call itself LTS, which the Node that npm serves never does.
 * We pin that Node ourselves and test on it, so the notice would only unsettle whoever starts us.
 */
const { warn } = console
console.warn = (...args: unknown[]) => {
  if (!String(args[0]).includes('Unsupported runtime')) warn(...args)
}
const library = await import('oidc-provider')
console.warn = warn

export const { Provider, errors, interactionPolicy } = library
