// Numbers and times in words, short. Pure.

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** span gives a length of time (ms) in its largest unit: 8 s, 4 min, 3 h, 2 d. */
export function span(ms: number): string {
  const v = Math.max(0, ms);
  if (v < minute) return `${Math.floor(v / 1000)} s`;
  if (v < hour) return `${Math.floor(v / minute)} min`;
  if (v < day) return `${Math.floor(v / hour)} h`;
  return `${Math.floor(v / day)} d`;
}

/** took gives a measured duration (ms) with two or three figures: 4.2 ms, 180 ms, 1.24 s. */
export function took(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/** memory gives MiB as the nearest handy unit. */
export function memory(mib: number): string {
  if (mib < 1024) return `${mib} MiB`;
  const gib = mib / 1024;
  return `${Number.isInteger(gib) ? gib : gib.toFixed(1)} GiB`;
}

/** bytes gives a file's size. */
export function bytes(n: number): string {
  return n < 1 << 20 ? `${Math.max(1, Math.round(n / 1024))} KiB` : `${(n / (1 << 20)).toFixed(1)} MiB`;
}

export function bits(kbps: number): string {
  return kbps < 1000 ? `${Math.round(kbps)} kbit/s` : `${(kbps / 1000).toFixed(1)} Mbit/s`;
}

/** pieces cuts a remedy into words and `commands`, so that a command can be copied. */
export function pieces(text: string): { text: string; code: boolean }[] {
  return text
    .split(/(`[^`]+`)/)
    .filter((p) => p !== '')
    .map((p) => (/^`[^`]+`$/.test(p) ? { text: p.slice(1, -1), code: true } : { text: p, code: false }));
}

/** command gives what of a remedy can be typed: its first `quoted` part, or all of it when it is a command as it stands. */
export function command(remedy: string): string {
  const quoted = pieces(remedy).find((p) => p.code);
  if (quoted) return quoted.text;
  return /^(vitrine|sudo|apt|modprobe|sysctl|systemctl|make) \S/.test(remedy) ? remedy : '';
}
