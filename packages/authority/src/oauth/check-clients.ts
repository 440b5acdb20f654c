import type { Authority } from '../authority.ts'
import { ConfigError } from '../config.ts'
import { errors } from './library.ts'

/**
 * Has the protocol library read each client of the configuration now; by itself it would do so when somebody first
 * signs in.
 * @throws ConfigError naming the client and what is wrong with it (RFC 7591 §2)
 */
export async function checkClients({ config, provider }: Authority): Promise<void> {
  const { Client } = provider().provider
  for (const { client_id } of config.clients) {
    try {
      await Client.find(client_id)
    } catch (error) {
      if (!(error instanceof errors.OIDCProviderError)) throw error
      throw new ConfigError(
        `\`clients\` has ${client_id}, which can’t be used: ${error.error_description ?? error.message}.`,
      )
    }
  }
}
