// What the engine needs of the page around it, and what it tells that page.
import type { Sizing } from './geometry';
import type { Preference } from './ladder';
import type { EndFailure, Path } from './protocol';

export type Notice =
  | { kind: 'fallback'; why: string }
  | { kind: 'back'; path: Path }
  | { kind: 'control-requested'; viewer: string }
  | { kind: 'control-lost' | 'control-gained' }
  | { kind: 'error'; message: string };

/** What became of the session, asked for when the signal socket is refused: a page cannot see why. */
export type Check =
  | { is: 'alive' | 'unreachable' | 'refused' }
  | { is: 'over'; state: string; reason: string; failure: EndFailure | null };

export interface EngineOptions {
  sessionId: string;
  preference: Preference;
  sizing: Sizing;
  /** Only relayed candidates: to try TURN. */
  relayOnly: boolean;
  /** Only this codec, in the node's spelling; empty for the best of both sides. */
  codec: string;
  check(): Promise<Check>;
  notice(n: Notice): void;
  shortcut(letter: string): void;
}
