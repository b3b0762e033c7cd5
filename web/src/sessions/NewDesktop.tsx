import { useState } from 'react';
import { Icon } from '../ui/icons';
import { Disclosure } from '../ui/Shell';
import { useCreate } from './actions';
import { OptionsForm } from './OptionsForm';
import { Refused } from './WaitForRoom';
import { defaults, remember, remembered, wishOf } from './wish';

/** The main job: one click, and a desktop starts. */
export function NewDesktop({ create }: { create: ReturnType<typeof useCreate> }) {
  const [options, setOptions] = useState(remembered);
  const { wish, problems } = wishOf(options);
  const wrong = Object.keys(problems).length > 0;
  const changed = Object.keys(defaults).filter((k) => options[k as keyof typeof defaults] !== '').length;

  return (
    <form
      className="new"
      onSubmit={(e) => {
        e.preventDefault();
        if (wrong || create.isPending) return;
        remember(options);
        create.mutate(wish);
      }}
    >
      <div className="new-row">
        <button
          className="btn btn-primary btn-big"
          disabled={wrong || create.isPending}
          aria-keyshortcuts="n"
        >
          <Icon name="plus" />
          {create.isPending ? 'Starting…' : 'New desktop'}
          <kbd aria-hidden="true">N</kbd>
        </button>
        <p className="muted new-says">A Chromium desktop in a machine of its own, live in this tab.</p>
      </div>
      <Refused create={create} />
      <Disclosure label={changed > 0 ? `Options (${changed} set)` : 'Options'}>
        <OptionsForm options={options} problems={problems} onChange={setOptions} />
        {changed > 0 && (
          <button type="button" className="link" onClick={() => setOptions(defaults)}>
            Back to the defaults
          </button>
        )}
      </Disclosure>
    </form>
  );
}
