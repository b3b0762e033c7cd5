import { describe, expect, test } from 'vitest';
import { parse } from './protocol';
import { pause } from './signal';
import { pathOf, read } from './stats';

describe('messages of the node', () => {
  test('a hello', () => {
    expect(
      parse(
        '{"type":"hello","viewer_id":"vwr_1","scope":"control","viewport":{"width":1280,"height":720},"ice_servers":[{"urls":["turn:h"],"username":"u","credential":"c"}],"codecs":["h264","vp8"],"resume":"s"}',
      ),
    ).toEqual({
      type: 'hello',
      viewer_id: 'vwr_1',
      scope: 'control',
      viewport: { width: 1280, height: 720 },
      ice_servers: [{ urls: ['turn:h'], username: 'u', credential: 'c' }],
      codecs: ['h264', 'vp8'],
      resume: 's',
    });
  });

  test.each([
    ['no JSON', 'hello'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a message of a later version', '{"type":"teleport"}'],
    ['nothing', ''],
  ])('%s is no message', (_, text) => {
    expect(parse(text)).toBeNull();
  });

  test('wrong types become empty, never a crash later', () => {
    expect(
      parse('{"type":"viewers","viewers":[null,5,{"id":7,"path":"carrier pigeon","scope":"root"}]}'),
    ).toEqual({
      type: 'viewers',
      viewers: [0, 0, 0].map(() => ({ id: '', user_id: '', scope: 'view', path: 'none', away: false })),
      controller: '',
    });
    expect(parse('{"type":"resized","w":"wide","h":-4}')).toEqual({ type: 'resized', w: 0, h: 0 });
    expect(parse('{"type":"resized","w":1e300,"h":12.7}')).toEqual({ type: 'resized', w: 16384, h: 12 });
  });

  test('a machine cannot put CSS into the page by its cursor', () => {
    expect(parse('{"type":"cursor","png":"a) , url(https://evil.example/","hx":0,"hy":0}')).toMatchObject({
      png: '',
    });
    expect(parse('{"type":"cursor","png":"iVBORw0KGgo=","hx":3,"hy":4}')).toEqual({
      type: 'cursor',
      png: 'iVBORw0KGgo=',
      hx: 3,
      hy: 4,
    });
  });

  test('a clipboard is bounded', () => {
    const m = parse(JSON.stringify({ type: 'clipboard', s: 'x'.repeat(2 << 20) }));
    expect(m?.type === 'clipboard' && m.s.length).toBe(1 << 20);
  });
});

test('the pause before another attempt grows to 5 s and no further', () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((n) => pause(n, 0.5))).toEqual([200, 400, 800, 1600, 3200, 5000, 5000]);
  expect(pause(0, 0)).toBe(160);
  expect(pause(0, 1)).toBe(240);
});

describe('figures', () => {
  const report = (bytes: number, frames: number): [string, unknown][] => [
    ['T', { id: 'T', type: 'transport', selectedCandidatePairId: 'P' }],
    ['P', { id: 'P', type: 'candidate-pair', localCandidateId: 'L', currentRoundTripTime: 0.0042 }],
    ['L', { id: 'L', type: 'local-candidate', candidateType: 'host', protocol: 'udp' }],
    ['C', { id: 'C', type: 'codec', mimeType: 'video/H264' }],
    [
      'V',
      {
        id: 'V',
        type: 'inbound-rtp',
        kind: 'video',
        codecId: 'C',
        bytesReceived: bytes,
        framesDecoded: frames,
        framesDropped: 1,
        packetsLost: 2,
        frameWidth: 1280,
        frameHeight: 720,
        jitterBufferDelay: frames * 0.002,
        jitterBufferEmittedCount: frames,
        totalDecodeTime: frames * 0.003,
      },
    ],
  ];

  test('of one second', () => {
    const first = read(report(1000, 10), null, 0);
    const { figures, path } = read(report(126000, 70), first, 1000);
    expect(path).toBe('udp');
    expect(figures).toMatchObject({
      fps: 60,
      kbps: 1000,
      rtt: 4.2,
      width: 1280,
      height: 720,
      codec: 'H264',
      dropped: 1,
      lost: 2,
      frames: 70,
    });
    expect(figures.decode).toBeCloseTo(3);
    expect(figures.buffer).toBeCloseTo(2);
  });

  test('of a picture that stands still', () => {
    const before = read(report(1000, 10), null, 0);
    expect(read(report(1000, 10), before, 1000).figures).toMatchObject({
      fps: 0,
      kbps: 0,
      decode: null,
      buffer: null,
    });
  });

  test('Firefox marks the pair instead of naming it', () => {
    const entries: [string, unknown][] = [
      ['P', { id: 'P', type: 'candidate-pair', selected: true, localCandidateId: 'L' }],
      ['L', { id: 'L', type: 'local-candidate', candidateType: 'relay', protocol: 'udp' }],
    ];
    expect(read(entries, null, 0).path).toBe('turn');
  });

  test('nothing yet', () => {
    expect(read([], null, 0)).toMatchObject({ path: 'none', figures: { fps: 0, rtt: null, codec: '' } });
  });

  test.each([
    [{ candidateType: 'host', protocol: 'tcp' }, 'tcp'],
    [{ candidateType: 'prflx', protocol: 'udp' }, 'udp'],
    [{ candidateType: 'relay', protocol: 'tcp' }, 'turn'],
  ])('path of %o', (local, path) => {
    expect(pathOf(local)).toBe(path);
  });
});
