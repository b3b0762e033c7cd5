import { CopyButton } from './buttons';
import { command, pieces } from './format';

/** A remedy in words, its commands set as code, with what can be typed ready to copy. */
export function Remedy({ text }: { text: string }) {
  if (!text) return null;
  const typed = command(text);
  return (
    <div className="remedy">
      <div>
        <h3>What helps</h3>
        <p>
          {pieces(text).map((p, i) =>
            p.code || p.text === typed ? <code key={i}>{p.text}</code> : <span key={i}>{p.text}</span>,
          )}
        </p>
      </div>
      <CopyButton text={typed || text} />
    </div>
  );
}
