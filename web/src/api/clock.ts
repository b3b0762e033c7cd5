// The daemon's clock as this page sees it: a running bar must not depend on how well two clocks agree.

let offset = Infinity;

/** noteTime learns from the time of a live event. The least difference seen holds the least delay. */
export function noteTime(at: string): void {
  const difference = Date.now() - Date.parse(at);
  if (Number.isFinite(difference)) offset = Math.min(offset, difference);
}

export const serverTime = (local: number): number => local - (Number.isFinite(offset) ? offset : 0);
