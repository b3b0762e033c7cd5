// This device's clipboard, as far as the browser allows. Writing needs HTTPS (or localhost) and a tab in front;
// reading also needs the person's consent, after which it follows by itself when they come back to the tab.
import { maxClipboard } from './protocol';

export class Clipboard {
  private readonly off = new AbortController();
  private last = '';

  constructor(
    private readonly send: (text: string) => void,
    private readonly wanted: () => boolean,
  ) {
    addEventListener('focus', () => void this.follow(), { signal: this.off.signal });
  }

  async write(text: string): Promise<boolean> {
    this.last = text;
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }

  async read(): Promise<string | null> {
    try {
      const text = await navigator.clipboard.readText();
      this.last = text;
      return text;
    } catch {
      return null;
    }
  }

  close(): void {
    this.off.abort();
  }

  /** Only with a permission that was given before: coming back to the tab must never ask. */
  private async follow(): Promise<void> {
    if (!this.wanted()) return;
    try {
      const { state } = await navigator.permissions.query({ name: 'clipboard-read' as PermissionName });
      if (state !== 'granted') return;
      const text = await navigator.clipboard.readText();
      if (text && text !== this.last && text.length <= maxClipboard) {
        this.last = text;
        this.send(text);
      }
    } catch {
      // Not in this browser, or not over plain HTTP: Ctrl+V and the panel remain.
    }
  }
}
