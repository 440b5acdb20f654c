/** Control characters, what turns the direction of a text around, and what no font shows; but not what joins emoji. */
const UNSEEN = /[^\P{C}\u200c\u200d]|[\p{Zl}\p{Zp}]/gu

/**
 * A text from outside as it may be shown and stored: in one line, of characters that are seen, cut off.
 * @param most how many UTF-16 units it may have
 */
export function plain(text: string, most: number): string {
  const seen = text.slice(0, most * 4).replace(UNSEEN, ' ')
  const line = seen.replace(/\s+/g, ' ').trim().slice(0, most)
  // Cut through the middle of a character, half of it is none.
  return line
    .toWellFormed()
    .replace(/\ufffd$/, '')
    .trim()
}
