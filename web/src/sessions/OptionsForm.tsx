import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { imagesQuery, statusQuery } from '../api/queries';
import type { Status } from '../api/types';
import { isolations } from '../ui/Chip';
import { memory } from '../ui/format';
import type { Options, Problems } from './wish';

interface Props {
  options: Options;
  problems: Problems;
  onChange: (o: Options) => void;
}

/** All that can be said about a new desktop; whatever is left empty is the host's default. */
export function OptionsForm({ options, problems, onChange }: Props) {
  const status = useQuery(statusQuery).data;
  const images = useQuery(imagesQuery).data?.images ?? [];
  const set = (field: keyof Options) => (value: string) => onChange({ ...options, [field]: value });
  const text = (field: keyof Options, placeholder: string, mode: 'text' | 'numeric' | 'url' = 'numeric') => ({
    value: options[field],
    placeholder,
    mode,
    problem: problems[field],
    onChange: set(field),
  });
  const least = images.find((i) => i.ref === (options.image || 'desktop'))?.min_memory_mb;

  return (
    <div className="options">
      <Field label="Opens the page" wide {...text('start_url', 'example.com', 'url')} />
      <Field label="Name" {...text('name', 'for the list', 'text')} />
      <label className="field">
        <span>Image</span>
        <select value={options.image} onChange={(e) => set('image')(e.target.value)}>
          <option value="">Default</option>
          {images
            .filter((i) => i.kind === 'desktop')
            .map((i) => (
              <option key={i.digest} value={i.ref}>
                {i.ref} ({i.packages} packages)
              </option>
            ))}
        </select>
      </label>
      <Isolations status={status} chosen={options.runtime} onChange={set('runtime')} />
      <Field
        label="Memory, MiB"
        hint={least ? `at least ${memory(least)} for this image` : ''}
        {...text('memory_mb', '2048')}
      />
      <Field label="vCPU" {...text('vcpu', '2')} />
      <Field label="Width" hint="follows your tab anyway" {...text('width', '1280')} />
      <Field label="Height" {...text('height', '720')} />
      <Field label="Ends after, minutes" {...text('timeout_minutes', 'never')} />
      <Field label="Ends when idle, minutes" {...text('idle_minutes', 'never')} />
    </div>
  );
}

function Isolations({
  status,
  chosen,
  onChange,
}: {
  status: Status | undefined;
  chosen: string;
  onChange: (v: string) => void;
}) {
  const auto = status?.runtimes.find((r) => r.name === status.runtime);
  return (
    <fieldset className="runtimes">
      <legend>Isolation</legend>
      <Choice
        value=""
        name="Automatic"
        chosen={chosen}
        onChange={onChange}
        says={
          auto
            ? `The strongest that works on this host: ${isolations[auto.isolation].name}.`
            : 'The strongest that works on this host.'
        }
      />
      {status?.runtimes
        .filter((r) => r.isolation !== 'none' || r.probe.ok)
        .map((r) => (
          <Choice
            key={r.name}
            value={r.name}
            name={isolations[r.isolation].name}
            chosen={chosen}
            onChange={onChange}
            disabled={!r.probe.ok}
            says={isolations[r.isolation].gives}
            extra={r.probe.ok ? null : <span className="bad-text">Not on this host: {r.probe.reason}</span>}
          />
        ))}
    </fieldset>
  );
}

function Choice(p: {
  value: string;
  name: string;
  chosen: string;
  says: string;
  onChange: (v: string) => void;
  disabled?: boolean;
  extra?: ReactNode;
}) {
  return (
    <label className={p.disabled ? 'choice choice-off' : 'choice'}>
      <input
        type="radio"
        name="runtime"
        checked={p.chosen === p.value}
        disabled={p.disabled}
        onChange={() => p.onChange(p.value)}
      />
      <span>
        <strong>{p.name}</strong>
        <small>{p.says}</small>
        {p.extra && <small>{p.extra}</small>}
      </span>
    </label>
  );
}

function Field(p: {
  label: string;
  value: string;
  placeholder: string;
  mode: 'text' | 'numeric' | 'url';
  problem: string | undefined;
  hint?: string;
  wide?: boolean;
  onChange: (v: string) => void;
}) {
  return (
    <label className={p.wide ? 'field field-wide' : 'field'}>
      <span>{p.label}</span>
      <input
        value={p.value}
        placeholder={p.placeholder}
        inputMode={p.mode}
        spellCheck={false}
        autoCapitalize="none"
        aria-invalid={p.problem !== undefined}
        onChange={(e) => p.onChange(e.target.value)}
      />
      {p.problem ? <small className="bad-text">{p.problem}</small> : p.hint ? <small>{p.hint}</small> : null}
    </label>
  );
}
