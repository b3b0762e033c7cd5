import type { ReactNode } from 'react';

export function PanelBox({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="vt-panel" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}
