import { Server } from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { asRescindError } from '../http/respond.ts'
import { validate } from '../v1.ts'
import type { Caller } from './caller.ts'
import { TOOLS } from './tools.ts'

export const SERVER_INFO = { name: 'rescind', title: 'Rescind', version: '0.1.0' }

export type ToolResult = {
  content: { type: 'text'; text: string }[]
  structuredContent?: Record<string, unknown>
  isError?: true
}

const LISTING = TOOLS.map(({ name, title, description, input, output, annotations }) => ({
  name,
  title,
  description,
  inputSchema: z.toJSONSchema(input, { io: 'input' }) as { type: 'object' },
  outputSchema: z.toJSONSchema(output) as { type: 'object' },
  annotations: { title, ...annotations },
}))

/**
 * An MCP server with our tools. Built on the protocol layer, because what goes wrong has to be said in the
 * contract's words, argument errors too.
 * @param call carries out a tool: here, or at an authority elsewhere
 */
export function createToolServer(call: (name: string, input: unknown) => Promise<ToolResult>): Server {
  const server = new Server(SERVER_INFO, { capabilities: { tools: {} } })
  server.setRequestHandler('tools/list', async () => ({ tools: LISTING }))
  server.setRequestHandler('tools/call', async ({ params }) => call(params.name, params.arguments ?? {}))
  return server
}

/** Runs a tool. Never throws: an uncaught message would reach the client word for word. */
export async function runTool(
  authority: Authority,
  name: string,
  input: unknown,
  caller: Caller,
): Promise<ToolResult> {
  try {
    const tool = TOOLS.find((candidate) => candidate.name === name)
    if (!tool) {
      const known = TOOLS.map((candidate) => candidate.name).join(', ')
      throw new RescindError('VALIDATION_ERROR', `There is no such tool. There are: ${known}.`)
    }
    const output = await tool.run(authority, validate(tool.input, input) as never, caller)
    return { content: [{ type: 'text', text: JSON.stringify(output) }], structuredContent: output }
  } catch (error) {
    const shown = asRescindError(error)
    if (shown.code === 'INTERNAL') authority.log.error({ tool: name, error }, 'tool failed')
    return errorResult(shown)
  }
}

/** An error as the contract has it: text only, since older clients throw on an error with structured content. */
export function errorResult(error: RescindError): ToolResult {
  return { content: [{ type: 'text', text: JSON.stringify(error) }], isError: true }
}
