// Text from input methods and on-screen keyboards. Pure.

export interface Edit {
  /** How many characters (code points) at the end to take back. */
  back: number;
  insert: string;
}

/** edit gives what turns one text into another when only its end can be changed. */
export function edit(from: string, to: string): Edit {
  const a = Array.from(from);
  const b = Array.from(to);
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  return { back: a.length - same, insert: b.slice(same).join('') };
}

/** chunks cuts text into pieces of at most `max` UTF-8 bytes, never within a character. */
export function chunks(text: string, max: number): string[] {
  const out: string[] = [];
  const size = (s: string) => new TextEncoder().encode(s).length;
  let piece = '';
  let bytes = 0;
  for (const ch of text) {
    const n = size(ch);
    if (bytes + n > max && piece) {
      out.push(piece);
      piece = '';
      bytes = 0;
    }
    piece += ch;
    bytes += n;
  }
  if (piece) out.push(piece);
  return out;
}
