// The boot ledger as bars on a time axis. Pure.
import type { Phase, PhaseName } from '../api/types';

/** What each phase does, for a person (docs: the phases of a start). */
export const says: Record<PhaseName, string> = {
  admission: 'Is there room',
  placement: 'Choosing a runtime',
  image: 'Checking the image',
  network: 'Address and firewall',
  machine: 'Making the machine',
  kernel: 'Booting its kernel',
  init: 'Starting its system',
  agent: 'Reaching the agent',
  display: 'Starting the display',
  browser: 'Starting Chromium',
};

export interface Bar {
  name: PhaseName;
  outcome: Phase['outcome'] | 'waiting';
  detail: string;
  /** Of the axis, 0…1. */
  from: number;
  width: number;
  ms: number;
}

export interface Axis {
  bars: Bar[];
  /** The length of the axis and what has passed, ms. */
  axis: number;
  passed: number;
}

/** Phases that every desktop goes through; kernel and init only show for a runtime that has them. */
const always: PhaseName[] = [
  'admission',
  'placement',
  'image',
  'network',
  'machine',
  'agent',
  'display',
  'browser',
];
const order: PhaseName[] = [...always.slice(0, 5), 'kernel', 'init', ...always.slice(5)];
/** A start shorter than this still gets an axis of this length, or one phase would fill it. */
const leastAxis = 500;

/** lay places the phases; `now` (ms) is where a running phase has got to. `going` adds those still to come. */
export function lay(phases: readonly Phase[], now: number, going: boolean): Axis {
  const known = new Map(closed(phases).map((p) => [p.name, p]));
  const begin = phases.length > 0 ? Math.min(...phases.map((p) => Date.parse(p.started_at))) : now;
  const endOf = (p: Phase) =>
    p.outcome === 'running' && going
      ? Math.max(now, Date.parse(p.started_at))
      : Date.parse(p.started_at) + p.duration_ms;
  const passed = known.size > 0 ? Math.max(...[...known.values()].map(endOf)) - begin : 0;
  const axis = Math.max(leastAxis, going ? passed * 1.15 : passed);

  const bars: Bar[] = [];
  for (const name of order) {
    const p = known.get(name);
    if (p) {
      const start = Date.parse(p.started_at) - begin;
      const ms = Math.max(0, endOf(p) - begin - start);
      bars.push({ name, outcome: p.outcome, detail: p.detail, from: start / axis, width: ms / axis, ms });
    } else if (going && always.includes(name)) {
      bars.push({ name, outcome: 'waiting', detail: '', from: 0, width: 0, ms: 0 });
    }
  }
  return { bars, axis, passed };
}

/** Phases follow one another: one that still "runs" while a later one has begun ended there, and its end was missed. */
function closed(phases: readonly Phase[]): Phase[] {
  const starts = phases.map((p) => Date.parse(p.started_at)).sort((a, b) => a - b);
  return phases.map((p) => {
    const start = Date.parse(p.started_at);
    const next = starts.find((t) => t > start);
    return p.outcome === 'running' && next !== undefined
      ? { ...p, outcome: 'ok', duration_ms: next - start }
      : p;
  });
}
