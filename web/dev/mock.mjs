// `npm run dev:mock`: the page on http://localhost:4100 against a daemon that only pretends. For work on the page
// without root, machines or a build of the daemon: every state of a session is there to look at, starts take their
// time, and the desktop is a pattern by RFB (noVNC); WebRTC is never answered, so the ladder is seen to fall back.
import { createServer } from 'node:http';
import { createServer as createVite } from 'vite';
import { WebSocketServer } from 'ws';
import { doctor, seed, makeSession, phasesOf, screenshot, status } from './data.mjs';
import { rfb } from './rfb.mjs';

const port = Number(process.env.PORT ?? 4100);
const sessions = new Map(seed().map((s) => [s.session.id, s]));
const streams = new Set();
let eventID = 0;

function emit(type, s, phase = null) {
  const id = ++eventID;
  const event = {
    id,
    type,
    session_id: s.session.id,
    at: new Date().toISOString(),
    session: phase ? null : s.session,
    phase,
  };
  for (const res of streams) res.write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`);
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function boot(s) {
  s.session.state = 'starting';
  emit('session.state', s);
  for (const plan of phasesOf(s.session)) {
    const phase = {
      name: plan.name,
      started_at: new Date().toISOString(),
      duration_ms: 0,
      outcome: 'running',
      detail: '',
    };
    s.boot.phases.push(phase);
    emit('boot.phase', s, { ...phase });
    await sleep(plan.ms);
    Object.assign(phase, {
      duration_ms: plan.ms,
      outcome: plan.failure ? 'failed' : 'ok',
      detail: plan.detail,
    });
    emit('boot.phase', s, { ...phase });
    if (plan.failure) {
      s.session.failure = s.boot.failure = plan.failure;
      Object.assign(s.session, {
        state: 'failed',
        ended_at: new Date().toISOString(),
        ended_reason: 'failed_to_start',
        released: true,
      });
      return emit('session.state', s);
    }
  }
  Object.assign(s.session, { state: 'ready', ready_at: new Date().toISOString() });
  emit('session.state', s);
}

const routes = [
  ['POST', /^\/v1\/login$/, () => ({ user_id: 'admin', role: 'admin' })],
  ['POST', /^\/v1\/logout$/, () => null],
  ['GET', /^\/v1\/me$/, () => ({ user_id: 'admin', role: 'admin' })],
  ['GET', /^\/v1\/status$/, () => status(sessions)],
  ['GET', /^\/v1\/host\/doctor$/, doctor],
  [
    'GET',
    /^\/v1\/images$/,
    () => ({
      images: [
        {
          ref: 'desktop',
          digest: 'sha256:2f0c',
          kind: 'desktop',
          built_at: '2026-01-01T00:00:00Z',
          size_bytes: 1.4e9,
          files: 40210,
          packages: 512,
          min_memory_mb: 1024,
        },
      ],
    }),
  ],
  [
    'GET',
    /^\/v1\/sessions$/,
    () => ({
      sessions: [...sessions.values()]
        .map((s) => s.session)
        .sort((a, b) => (a.created_at < b.created_at ? 1 : -1)),
      next_cursor: null,
    }),
  ],
  [
    'POST',
    /^\/v1\/sessions$/,
    (_, body) => {
      const s = makeSession(body);
      sessions.set(s.session.id, s);
      emit('session.created', s);
      setTimeout(() => void boot(s), 150);
      return s.session;
    },
  ],
  ['GET', /^\/v1\/sessions\/([^/]+)$/, ([id]) => sessions.get(id)?.session],
  [
    'DELETE',
    /^\/v1\/sessions\/([^/]+)$/,
    ([id]) => {
      const s = sessions.get(id);
      s.session.state = 'stopping';
      emit('session.state', s);
      setTimeout(() => {
        Object.assign(s.session, {
          state: 'ended',
          ended_reason: 'stopped_by_user',
          ended_at: new Date().toISOString(),
          released: true,
        });
        emit('session.state', s);
        for (const socket of s.signals)
          socket.send(JSON.stringify({ type: 'state', state: 'ended', ended_reason: 'stopped_by_user' }));
      }, 800);
      return s.session;
    },
  ],
  ['GET', /^\/v1\/sessions\/([^/]+)\/boot$/, ([id]) => sessions.get(id)?.boot],
  [
    'POST',
    /^\/v1\/sessions\/([^/]+)\/tickets$/,
    ([id], body) => ({
      id: 'tkt_00000000000000000000000001',
      session_id: id,
      scope: body.scope,
      ticket: 'secret',
      url: `http://localhost:${port}/view/${id}#ticket=secret`,
      expires_at: new Date(Date.now() + 3e5).toISOString(),
    }),
  ],
  ['DELETE', /^\/v1\/sessions\/([^/]+)\/tickets\/[^/]+$/, () => null],
  ['POST', /^\/v1\/tickets\/redeem$/, () => ({ session_id: '', scope: 'view' })],
];

const server = createServer(async (req, res) => {
  const { pathname } = new URL(req.url, 'http://x');
  if (/^\/v1\/(sessions\/[^/]+\/)?events$/.test(pathname)) {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write(': hello\n\n');
    streams.add(res);
    return void req.on('close', () => streams.delete(res));
  }
  if (pathname.endsWith('/console'))
    return void res.end('[    0.01] the machine says hello\n[    1.20] agent: display is up\n');
  if (pathname.endsWith('/screenshot'))
    return void res.setHeader('Content-Type', 'image/png').end(screenshot(pathname));
  let text = '';
  for await (const chunk of req) text += chunk;
  const body = text ? JSON.parse(text) : {};
  for (const [method, pattern, handle] of routes) {
    const m = req.method === method && pattern.exec(pathname);
    if (!m) continue;
    const answer = handle(m.slice(1), body);
    if (answer === null) return void res.writeHead(204).end();
    const error = {
      code: 'not_found',
      message: 'there is no such session',
      remedy: 'list what there is with `vitrine session list`',
      retryable: false,
      request_id: 'req_mock',
    };
    res.writeHead(answer ? 200 : 404, { 'Content-Type': 'application/json' });
    return void res.end(JSON.stringify(answer ?? { error }));
  }
  vite.middlewares(req, res);
});

const vite = await createVite({ server: { middlewareMode: true, hmr: { server } }, appType: 'spa' });
const sockets = new WebSocketServer({ noServer: true });
let viewers = 0;

server.on('upgrade', (req, socket, head) => {
  const m = /^\/v1\/sessions\/([^/]+)\/(signal|vnc)/.exec(req.url);
  if (!m) return;
  sockets.handleUpgrade(req, socket, head, (ws) =>
    m[2] === 'vnc' ? rfb(ws) : signal(ws, sessions.get(m[1])),
  );
});

function signal(ws, s) {
  const id = `vwr_${String(++viewers).padStart(26, '0')}`;
  s.signals.add(ws);
  ws.on('close', () => s.signals.delete(ws));
  const say = (m) => ws.send(JSON.stringify(m));
  const list = [
    { id, user_id: 'admin', scope: 'control', path: 'none' },
    { id: 'vwr_other', user_id: 'nadia', scope: 'control', path: 'udp' },
  ];
  const who = (controller) => say({ type: 'viewers', viewers: list, controller });
  say({
    type: 'hello',
    viewer_id: id,
    scope: 'control',
    viewport: { width: 1280, height: 720 },
    ice_servers: [],
    codecs: ['h264', 'vp8'],
    resume: 'again',
  });
  who(id);
  ws.on('message', (data) => {
    const m = JSON.parse(data);
    if (m.type === 'ping') say({ type: 'pong', t: m.t });
    if (m.type === 'control') who(m.action === 'take' ? id : m.action === 'give' ? m.to : '');
    if (m.type === 'path') {
      list[0].path = m.path;
      who(id);
    }
  });
}

server.listen(port, '127.0.0.1', () => console.log(`http://localhost:${port}/ (pretended daemon)`));
