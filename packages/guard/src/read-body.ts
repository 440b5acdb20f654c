/** Reads a response to its end. @throws Error when it is longer than `max` bytes */
export async function readBody(response: Response, max: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > max) throw new Error(`the answer has more than ${max} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
