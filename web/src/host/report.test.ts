import { expect, test } from 'vitest';
import type { Finding } from '../api/types';
import { arranged, summary } from './report';

const f = (check: string, result: Finding['result']): Finding => ({ check, result, detail: 'seen' });

test('what fails stands first, and the rest keeps its order', () => {
  const list = [
    f('user', 'pass'),
    f('clock', 'warn'),
    f('ports', 'fail'),
    f('TURN', 'warn'),
    f('subnet', 'fail'),
  ];
  expect(arranged(list).map((x) => x.check)).toEqual(['ports', 'subnet', 'clock', 'TURN', 'user']);
  expect(list[0]?.check).toBe('user');
});

test('the report in words', () => {
  expect(summary([f('a', 'pass'), f('b', 'pass')])).toBe('All 2 checks pass');
  expect(summary([f('a', 'fail'), f('b', 'warn'), f('c', 'warn'), f('d', 'pass')])).toBe(
    '1 fails, 2 warn, 1 passes',
  );
  expect(summary([f('a', 'warn')])).toBe('1 warns');
});
