// The frame of the dashboard's pages: header, the way out, help.
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { api } from '../api/client';
import { IconButton } from './buttons';
import { Icon, Mark } from './icons';
import { setTheme, useTheme, type Theme } from './theme';

const nextTheme: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };

export function ThemeButton() {
  const theme = useTheme();
  const icon = theme === 'system' ? 'auto' : theme === 'light' ? 'sun' : 'moon';
  return <IconButton icon={icon} label={`Theme: ${theme}`} onClick={() => setTheme(nextTheme[theme])} />;
}

export function Shell({
  children,
  aside,
  onHelp,
}: {
  children: ReactNode;
  aside?: ReactNode;
  onHelp?: () => void;
}) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const leave = async () => {
    await api.logout();
    client.clear();
    await navigate({ to: '/login' });
  };
  return (
    <>
      <header className="top">
        <Link to="/" className="brand" aria-label="Vitrine, all sessions">
          <Mark />
          <span>Vitrine</span>
        </Link>
        <div className="top-aside">{aside}</div>
        {onHelp && <IconButton icon="help" label="Keyboard shortcuts (?)" onClick={onHelp} />}
        <ThemeButton />
        <IconButton icon="out" label="Log out" onClick={() => void leave()} />
      </header>
      <main className="page">{children}</main>
    </>
  );
}

/** A native dialog: focus, Escape and the backdrop are the browser's work. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => ref.current?.showModal(), []);
  return (
    <dialog
      ref={ref}
      className="dialog"
      aria-label={title}
      onClose={onClose}
      onClick={(e) => {
        if (e.target === ref.current) ref.current.close();
      }}
    >
      <div className="dialog-body">
        <div className="dialog-head">
          <h2>{title}</h2>
          <IconButton icon="close" label="Close" onClick={() => ref.current?.close()} />
        </div>
        {children}
      </div>
    </dialog>
  );
}

export function Disclosure({
  label,
  children,
  opened = false,
}: {
  label: ReactNode;
  children: ReactNode;
  opened?: boolean;
}) {
  const [open, setOpen] = useState(opened);
  return (
    <div className={open ? 'disclosure disclosure-open' : 'disclosure'}>
      <button type="button" className="disclosure-btn" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="chevron" size={16} />
        {label}
      </button>
      {open && <div className="disclosure-body">{children}</div>}
    </div>
  );
}
