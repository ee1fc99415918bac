/** Words of a file for a terminal: what is in the file must not steer it, nor flood it. */

const LENGTH_MAX = 500;

const UNPRINTABLE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** One line without control characters, of bounded length. */
export function printable(text: string): string {
  const plain = text.replace(UNPRINTABLE, escaped);
  return plain.length <= LENGTH_MAX ? plain : `${plain.slice(0, LENGTH_MAX)}…`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}
