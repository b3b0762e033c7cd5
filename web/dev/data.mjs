// What the pretended daemon has to show: one session in each state.
import { deflateSync, crc32 } from 'node:zlib';

let counter = 0;
const letters = '0123456789abcdefghjkmnpqrstvwxyz';
const newID = () =>
  'ses_01jd' +
  [...Array(22)].map((_, i) => letters[(++counter * 7 + i * 13 + ((counter * i) % 31)) % 32]).join('');
const ago = (s) => new Date(Date.now() - s * 1000).toISOString();

export const oom = {
  code: 'guest_oom',
  phase: 'browser',
  message:
    'the machine ran out of memory while Chromium was starting: 256 MiB given, 1024 MiB is the least that worked for this image',
  remedy: 'give it more: `vitrine session create --memory 1024`, or set BROWSER_VM_MEMORY_MB',
  retryable: false,
  evidence: [
    '[    4.812] chromium invoked oom-killer: gfp_mask=0x140cca, order=0, oom_score_adj=300',
    '[    4.815] Memory cgroup out of memory: Killed process 84 (chromium) total-vm:1194532kB, anon-rss:201344kB',
    'agent: browser left with signal 9 after 1.9 s',
  ],
};
const timeout = {
  code: 'agent_timeout',
  phase: 'agent',
  message: 'the agent did not answer within 20 s',
  remedy: 'look at the console: `vitrine session logs ID`',
  retryable: true,
  evidence: ['runsc: sandbox "mch_01jd" started', 'agent: waiting for /run/vitrine/agent.sock'],
};

/** phasesOf is the plan of a start; a session with less than 1024 MiB fails as the real one would. */
export function phasesOf(s) {
  const plan = [
    { name: 'admission', ms: 12, detail: `${s.memory_mb} MiB, ${s.vcpu} vCPU: there is room` },
    { name: 'placement', ms: 4, detail: 'gvisor: runsc ran true in 180 ms' },
    { name: 'image', ms: 60, detail: 'desktop sha256:2f0c9a, verified' },
    { name: 'network', ms: 45, detail: '192.168.100.7 on fcbr0' },
    { name: 'machine', ms: 420, detail: `gvisor, ${s.vcpu} vCPU, ${s.memory_mb} MiB` },
    { name: 'agent', ms: 350, detail: 'answered' },
    { name: 'display', ms: 380, detail: 'Xvnc, 1280x720 at 60 Hz' },
    { name: 'browser', ms: 1900, detail: 'Chromium 140 has painted' },
  ];
  if (s.memory_mb < 1024) Object.assign(plan[7], { failure: oom, detail: 'out of memory' });
  return plan;
}

export function makeSession(wish, over = {}) {
  const session = {
    id: newID(),
    kind: 'desktop',
    state: 'pending',
    queue: null,
    user_id: 'admin',
    runtime: wish.runtime || 'gvisor',
    isolation: wish.runtime === 'container' ? 'container' : 'gvisor',
    node: 'rack-1',
    image: { ref: 'desktop', digest: 'sha256:2f0c9a41d7be55' },
    vcpu: wish.vcpu ?? 2,
    memory_mb: wish.memory_mb ?? 2048,
    address: '192.168.100.7',
    viewport: wish.viewport ?? { width: 1280, height: 720 },
    start_url: wish.start_url ?? null,
    timeout_seconds: 0,
    idle_timeout_seconds: wish.idle_timeout_seconds ?? 0,
    created_at: new Date().toISOString(),
    ready_at: null,
    expires_at: null,
    ended_at: null,
    ended_reason: null,
    failure: null,
    bundle: null,
    released: false,
    viewers: 0,
    live_view_url: '',
    cdp_url: null,
    metadata: wish.metadata ?? {},
    ...over,
  };
  return {
    session,
    boot: { session_id: session.id, phases: [], total_ms: 0, failure: session.failure },
    signals: new Set(),
  };
}

export function seed() {
  const list = [
    makeSession(
      { metadata: { name: 'Research' } },
      {
        state: 'ready',
        created_at: ago(4000),
        ready_at: ago(3997),
        viewers: 2,
        cdp_url: 'http://localhost:4100/v1/sessions/x/cdp',
      },
    ),
    makeSession(
      { runtime: 'container', memory_mb: 4096, vcpu: 4 },
      { state: 'ready', created_at: ago(340), ready_at: ago(339), expires_at: ago(-2400) },
    ),
    makeSession({}, { state: 'starting', created_at: ago(1) }),
    makeSession(
      { memory_mb: 256, metadata: { name: 'Too small' } },
      {
        state: 'failed',
        created_at: ago(900),
        ended_at: ago(890),
        ended_reason: 'failed_to_start',
        failure: oom,
        released: true,
      },
    ),
    makeSession(
      {},
      {
        state: 'failed',
        created_at: ago(7000),
        ended_at: ago(6900),
        ended_reason: 'failed_to_start',
        failure: timeout,
        released: true,
      },
    ),
    makeSession(
      { metadata: { name: 'Sign-in' } },
      {
        state: 'ended',
        created_at: ago(90000),
        ready_at: ago(89997),
        ended_at: ago(86000),
        ended_reason: 'stopped_by_user',
        released: true,
      },
    ),
    makeSession(
      {},
      {
        state: 'ended',
        created_at: ago(200000),
        ended_at: ago(190000),
        ended_reason: 'idle',
        released: true,
      },
    ),
  ];
  for (const s of list) {
    let at = Date.parse(s.session.created_at);
    for (const p of phasesOf(s.session)) {
      const started_at = new Date(at).toISOString();
      at += p.ms;
      const still = s.session.state === 'starting' && p.name === 'display';
      s.boot.phases.push({
        name: p.name,
        started_at,
        duration_ms: still ? 0 : p.ms,
        outcome: still ? 'running' : p.failure ? 'failed' : 'ok',
        detail: still ? '' : p.detail,
      });
      if (still) break;
    }
    s.boot.total_ms = at - Date.parse(s.session.created_at);
  }
  return list;
}

export function status(sessions) {
  const live = [...sessions.values()].filter((s) => !['ended', 'failed'].includes(s.session.state));
  const probe = (ok, reason) => ({ ok, reason, remedy: '', took_ms: 180, version: '' });
  return {
    version: { version: 'dev', commit: '', go: 'go1.26', platform: 'linux/amd64' },
    runtime: 'gvisor',
    runtimes: [
      { name: 'gvisor', isolation: 'gvisor', probe: probe(true, 'runsc ran true in 180 ms') },
      { name: 'container', isolation: 'container', probe: probe(true, 'crun ran true in 30 ms') },
      { name: 'firecracker', isolation: 'microvm', probe: probe(false, '/dev/kvm is not there') },
      { name: 'process', isolation: 'none', probe: probe(false, 'needs the development flag') },
    ],
    reserved: {
      memory_mb: live.reduce((n, s) => n + s.session.memory_mb, 0),
      vcpu: 6,
      sessions: live.length,
    },
    capacity: { memory_mb: 22528, vcpu: 16, sessions: 253 },
    recent_failures: [],
  };
}

/** A report of the doctor's, with one of each verdict. */
export function doctor() {
  return {
    at: new Date().toISOString(),
    verdict: 'fail',
    findings: [
      { check: 'user', result: 'pass', detail: 'root' },
      {
        check: 'kernel',
        result: 'pass',
        detail: 'Linux 6.12.0: overlay, user namespaces, tun, loop, /dev/kvm',
      },
      {
        check: 'clock',
        result: 'warn',
        detail: '2026-01-01 12:00:00, not synchronised with any server',
        remedy: '`timedatectl set-ntp true`, or `apt-get install chrony`',
      },
      {
        check: 'subnet',
        result: 'fail',
        detail: '192.168.100.0/24 is in use: eth0 has the address 192.168.100.77/24',
        remedy: 'set VITRINE_SUBNET to a private subnet that this host does not use, such as 10.213.77.0/24',
      },
      {
        check: 'leftovers',
        result: 'warn',
        detail: '30, the first: machine mch_06h0mx86rw5dqp9h7mdj2fx314',
        remedy: '`vitrine audit`, then `vitrine gc`',
      },
    ],
  };
}

/** A picture for the list: a made-up page, as a PNG without a library. */
export function screenshot(seed) {
  const w = 320,
    h = 200,
    rows = [];
  const hue = [...seed].reduce((n, c) => n + c.charCodeAt(0), 0) % 3;
  for (let y = 0; y < h; y++) {
    const row = Buffer.alloc(1 + w * 3, 250);
    row[0] = 0;
    for (let x = 0; x < w; x++) {
      const bar = y < 26,
        text = y > 50 && y % 14 < 5 && x > 30 && x < 30 + ((y * 37) % 200) + 40,
        hero = y > 34 && y < 46 && x > 30 && x < 150;
      const c = bar
        ? [222, 226, 230]
        : hero
          ? [
              [20, 110, 160],
              [150, 60, 90],
              [60, 120, 60],
            ][hue]
          : text
            ? [150, 158, 165]
            : [252, 252, 252];
      row.set(c, 1 + x * 3);
    }
    rows.push(row);
  }
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), 8 + data.length);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(w, 0);
  head.writeUInt32BE(h, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
