// The doctor's report, put in order. Pure.
import type { Finding, Verdict } from '../api/types';

const order: Record<Verdict, number> = { fail: 0, warn: 1, pass: 2 };

/** arranged gives what fails first, then what warns; within each, the doctor's own order. */
export function arranged(findings: Finding[]): Finding[] {
  return [...findings].sort((a, b) => order[a.result] - order[b.result]);
}

/** summary counts in words: "1 fails, 2 warn, 18 pass"; what there is none of is left out. */
export function summary(findings: Finding[]): string {
  const count = (v: Verdict) => findings.filter((f) => f.result === v).length;
  const [fail, warn, pass] = [count('fail'), count('warn'), count('pass')];
  if (fail + warn === 0) return `All ${pass} checks pass`;
  const parts = [];
  if (fail) parts.push(`${fail} fail${fail === 1 ? 's' : ''}`);
  if (warn) parts.push(`${warn} warn${warn === 1 ? 's' : ''}`);
  if (pass) parts.push(`${pass} pass${pass === 1 ? 'es' : ''}`);
  return parts.join(', ');
}
