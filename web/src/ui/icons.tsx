// The icons, drawn for this page on a 20 × 20 grid with a stroke of 1.5.
import type { ReactNode } from 'react';

const shapes = {
  plus: <path d="M10 4v12M4 10h12" />,
  back: <path d="M12 4.5 6.5 10l5.5 5.5" />,
  chevron: <path d="m5 7.5 5 5 5-5" />,
  close: <path d="m5 5 10 10M15 5 5 15" />,
  check: <path d="m4.5 10.5 4 4 7-8.5" />,
  copy: (
    <>
      <rect x="7" y="7" width="9" height="9" rx="1.5" />
      <path d="M13 4.5V4a1 1 0 0 0-1-1H5a2 2 0 0 0-2 2v7a1 1 0 0 0 1 1h.5" />
    </>
  ),
  power: <path d="M10 3v6.5M6 5.3a6.2 6.2 0 1 0 8 0" />,
  shield: <path d="M10 3 4.5 5v4.6c0 3.4 2.3 5.9 5.5 7.4 3.2-1.5 5.5-4 5.5-7.4V5L10 3Z" />,
  eye: (
    <>
      <path d="M2.5 10S5 4.9 10 4.9 17.5 10 17.5 10 15 15.1 10 15.1 2.5 10 2.5 10Z" />
      <circle cx="10" cy="10" r="2.2" />
    </>
  ),
  full: <path d="M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4" />,
  unfull: <path d="M7.5 3.5v4h-4M16.5 7.5h-4v-4M12.5 16.5v-4h4M3.5 12.5h4v4" />,
  pointer: <path d="m4.5 3.5 4 12.5 2.3-5.2L16 8.5 4.5 3.5Z" />,
  people: (
    <>
      <circle cx="7.5" cy="7" r="2.7" />
      <path d="M2.5 16c.3-3 2.4-4.6 5-4.6s4.7 1.6 5 4.6M12.5 4.6a2.7 2.7 0 0 1 0 4.9M14.3 11.9c1.9.6 3.1 2 3.3 4.1" />
    </>
  ),
  clipboard: (
    <>
      <rect x="4" y="4" width="12" height="13" rx="1.5" />
      <path d="M7.5 4V3h5v2.5h-5V4ZM7 9h6M7 12h4" />
    </>
  ),
  keyboard: (
    <>
      <rect x="2" y="5" width="16" height="10" rx="1.5" />
      <path d="M5 8h.01M8.3 8h.01M11.7 8h.01M15 8h.01M6.5 12h7" />
    </>
  ),
  gauge: (
    <>
      <path d="M4.7 15.5a7 7 0 1 1 10.6 0" />
      <path d="m10 11 3-3.5" />
    </>
  ),
  size: (
    <>
      <rect x="2.5" y="4" width="15" height="10" rx="1.5" />
      <path d="M7 17h6M6 10.5v-3h3M14 7.5v3h-3" />
    </>
  ),
  share: <path d="M10 12V3m0 0L6.5 6.5M10 3l3.5 3.5M5 10H4v6.5h12V10h-1" />,
  sun: (
    <>
      <circle cx="10" cy="10" r="3.2" />
      <path d="M10 2.5v1.7M10 15.8v1.7M2.5 10h1.7M15.8 10h1.7M4.7 4.7l1.2 1.2M14.1 14.1l1.2 1.2M15.3 4.7l-1.2 1.2M5.9 14.1l-1.2 1.2" />
    </>
  ),
  moon: <path d="M16.5 11.9A6.9 6.9 0 0 1 8.1 3.5a6.9 6.9 0 1 0 8.4 8.4Z" />,
  auto: (
    <>
      <circle cx="10" cy="10" r="6.8" />
      <path d="M10 3.2v13.6a6.8 6.8 0 0 0 0-13.6Z" fill="currentColor" />
    </>
  ),
  help: (
    <>
      <circle cx="10" cy="10" r="7" />
      <path d="M7.9 8a2.1 2.1 0 1 1 3.1 1.9c-.7.4-1 .8-1 1.6M10 14h.01" />
    </>
  ),
  out: <path d="M8 3.5H4.5v13H8M12 6.5l3.5 3.5-3.5 3.5M15.5 10H7.5" />,
  download: <path d="M10 3v9m0 0 3.5-3.5M10 12 6.5 8.5M4 13v3.5h12V13" />,
  retry: <path d="M16 4v4h-4M15.7 8A6.3 6.3 0 1 0 16.3 11" />,
  terminal: <path d="m4 6 4 4-4 4M10 14.5h6" />,
  alert: <path d="M10 3 2.5 16.5h15L10 3Zm0 5v4M10 14.3h.01" />,
  plug: <path d="M7 2.5V6M13 2.5V6M5 6h10v3a5 5 0 0 1-10 0V6ZM10 14v3.5" />,
} as const;

export type IconName = keyof typeof shapes;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): ReactNode {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {shapes[name]}
    </svg>
  );
}

/** The mark: a pane of glass with the light on it. */
export function Mark({ size = 24 }: { size?: number }): ReactNode {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" aria-hidden="true" className="mark">
      <rect
        x="2.5"
        y="3.5"
        width="19"
        height="14"
        rx="3"
        fill="var(--accent-soft)"
        stroke="var(--accent)"
        strokeWidth="1.7"
      />
      <path
        d="M7 13.5 13 7.5M11.5 13.5 15.5 9.5"
        stroke="var(--accent)"
        strokeWidth="1.7"
        strokeLinecap="round"
      />
      <path d="M7 21h10" stroke="var(--accent)" strokeWidth="1.7" strokeLinecap="round" />
    </svg>
  );
}
