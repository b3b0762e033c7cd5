// The options of a new desktop, as the person sets them, and the call they become. Pure, but for what is remembered.
import type { CreateSession } from '../api/types';

export interface Options {
  name: string;
  start_url: string;
  image: string;
  runtime: string;
  memory_mb: string;
  vcpu: string;
  width: string;
  height: string;
  timeout_minutes: string;
  idle_minutes: string;
}

/** Empty means: the host's own default. */
export const defaults: Options = {
  name: '',
  start_url: '',
  image: '',
  runtime: '',
  memory_mb: '',
  vcpu: '',
  width: '',
  height: '',
  timeout_minutes: '',
  idle_minutes: '',
};

export type Problems = Partial<Record<keyof Options, string>>;

const whole = (text: string, lo: number, hi: number): number | null => {
  const n = Number(text.trim());
  return Number.isInteger(n) && n >= lo && n <= hi ? n : null;
};

/** wishOf gives the call's body, or what is wrong with which field. The bounds are those of api/openapi.yaml. */
export function wishOf(o: Options): { wish: CreateSession; problems: Problems } {
  const wish: CreateSession = { kind: 'desktop' };
  const problems: Problems = {};
  const number = (field: keyof Options, lo: number, hi: number, take: (n: number) => void, unit = '') => {
    if (o[field].trim() === '') return;
    const n = whole(o[field], lo, hi);
    if (n === null) problems[field] = `A whole number from ${lo} to ${hi}${unit}`;
    else take(n);
  };

  if (o.name.trim()) wish.metadata = { name: o.name.trim().slice(0, 200) };
  if (o.image) wish.image = o.image;
  if (o.runtime) wish.runtime = o.runtime;
  number('memory_mb', 1, 1048576, (n) => (wish.memory_mb = n), ' MiB');
  number('vcpu', 1, 64, (n) => (wish.vcpu = n));
  number('timeout_minutes', 0, 43200, (n) => (wish.timeout_seconds = n * 60));
  number('idle_minutes', 0, 43200, (n) => (wish.idle_timeout_seconds = n * 60));

  if (o.width.trim() || o.height.trim()) {
    const width = whole(o.width, 320, 3840);
    const height = whole(o.height, 240, 2160);
    if (width === null) problems.width = '320 to 3840';
    if (height === null) problems.height = '240 to 2160';
    if (width !== null && height !== null) wish.viewport = { width, height };
  }
  const url = startURL(o.start_url);
  if (url === null) problems.start_url = 'An http, https, about or data URL';
  else if (url) wish.start_url = url;
  return { wish, problems };
}

/** startURL completes what a person types (example.com); null when it cannot be one of the allowed kinds. */
export function startURL(text: string): string | null {
  const t = text.trim();
  if (t === '') return '';
  const full = /^(https?:\/\/|about:|data:)/i.test(t)
    ? t
    : /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(t)
      ? ''
      : `https://${t}`;
  return full !== '' && URL.canParse(full) && full.length <= 8192 ? full : null;
}

const key = 'vitrine.options';

/** What was last set is offered again, but never the name or the page: those belong to one session. */
export function remember(o: Options): void {
  try {
    localStorage.setItem(key, JSON.stringify({ ...o, name: '', start_url: '' }));
  } catch {
    // Not kept then.
  }
}

export function remembered(): Options {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Record<keyof Options, unknown>>;
    const out = { ...defaults };
    for (const k of Object.keys(defaults) as (keyof Options)[]) {
      const v = kept[k];
      if (typeof v === 'string') out[k] = v;
    }
    return out;
  } catch {
    return { ...defaults };
  }
}

/** A key for Idempotency-Key; randomUUID is missing over plain HTTP. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
}
