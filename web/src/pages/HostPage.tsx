// The doctor's report on the host: what fails first, each with what to type.
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { doctorQuery } from '../api/queries';
import type { Finding, Verdict } from '../api/types';
import { arranged, summary } from '../host/report';
import { span } from '../ui/format';
import { useNow, useTitle } from '../ui/hooks';
import { Icon } from '../ui/icons';
import { Problem } from '../ui/Problem';
import { Remedy } from '../ui/Remedy';
import { Shell } from '../ui/Shell';

const tones: Record<Verdict, string> = { pass: 'good', warn: 'wait', fail: 'bad' };

export function HostPage() {
  const query = useQuery(doctorQuery);
  const now = useNow(1000);
  useTitle('Host');
  const report = query.data;
  return (
    <Shell>
      <div className="host-head">
        <Link to="/" className="back">
          <Icon name="back" size={18} />
          All sessions
        </Link>
        <h1>Host</h1>
        {report && (
          <p className="muted">
            {summary(report.findings)}, {span(now - Date.parse(report.at))} ago. The same on the host itself:{' '}
            <code>vitrine doctor</code>
          </p>
        )}
        <button className="btn btn-small" disabled={query.isFetching} onClick={() => void query.refetch()}>
          <Icon name="retry" size={16} />
          {query.isFetching ? 'Checking…' : 'Check again'}
        </button>
      </div>
      {query.error && <Problem error={query.error} onRetry={() => void query.refetch()} />}
      {report && (
        <ul className="card findings" aria-label="Checks of the host">
          {arranged(report.findings).map((f, i) => (
            <Row key={`${f.check} ${i}`} finding={f} />
          ))}
        </ul>
      )}
    </Shell>
  );
}

function Row({ finding }: { finding: Finding }) {
  const { check, result, detail, remedy } = finding;
  return (
    <li className="finding" data-verdict={result}>
      <span className={`chip chip-${tones[result]}`}>{result}</span>
      <h3>{check}</h3>
      <p>{detail}</p>
      {result !== 'pass' && remedy && <Remedy text={remedy} />}
    </li>
  );
}
