import { useEffect, useRef, useState, type ButtonHTMLAttributes, type ReactNode } from 'react';
import { Icon, type IconName } from './icons';

/** copyText works over plain HTTP too, where the clipboard interface is missing. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement('textarea');
    field.value = text;
    field.className = 'vt-field';
    document.body.append(field);
    field.select();
    // Deprecated, and the only way without HTTPS.
    const done = (document as { execCommand(command: string): boolean }).execCommand('copy');
    field.remove();
    return done;
  }
}

export function CopyButton({
  text,
  label = 'Copy',
  wide = false,
}: {
  text: string;
  label?: string;
  wide?: boolean;
}) {
  const [done, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    setDone(await copyText(text));
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setDone(false), 1600);
  };
  return (
    <button
      type="button"
      className={wide ? 'btn' : 'btn btn-small'}
      onClick={() => void copy()}
      aria-live="polite"
    >
      <Icon name={done ? 'check' : 'copy'} size={16} />
      {done ? 'Copied' : label}
    </button>
  );
}

/** Asks once more in place: the first click arms it for some seconds. Escape, or a click elsewhere, disarms it. */
export function ConfirmButton({
  label,
  sure,
  icon,
  onConfirm,
  className = 'btn',
}: {
  label: string;
  sure: string;
  icon?: IconName;
  onConfirm: () => void;
  className?: string;
}) {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    if (!armed) return;
    const timer = window.setTimeout(() => setArmed(false), 4000);
    return () => clearTimeout(timer);
  }, [armed]);
  return (
    <button
      type="button"
      className={armed ? `${className} btn-danger` : className}
      onClick={(e) => {
        e.preventDefault();
        e.stopPropagation();
        if (armed) onConfirm();
        setArmed(!armed);
      }}
      onBlur={() => setArmed(false)}
      onKeyDown={(e) => {
        if (e.key === 'Escape') setArmed(false);
      }}
    >
      {icon && <Icon name={icon} size={16} />}
      {armed ? sure : label}
    </button>
  );
}

export function IconButton({
  icon,
  label,
  children,
  className = '',
  ...rest
}: { icon: IconName; label: string; children?: ReactNode } & ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button type="button" className={`icon-btn ${className}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
      {children}
    </button>
  );
}
