export type ToolAnswer = { content: { text: string }[]; structuredContent?: unknown; isError?: boolean }

/** Calls a tool at the MCP endpoint with a bare request of the 2025 era; no client in between tidies it up. */
export async function callTool(
  issuer: string,
  name: string,
  args: unknown,
  headers: Record<string, string> = {},
): Promise<ToolAnswer> {
  const response = await fetch(`${issuer}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
  })
  const text = await response.text()
  const data = /^data: (.*)$/m.exec(text)?.[1] ?? text
  return (JSON.parse(data) as { result: ToolAnswer }).result
}
