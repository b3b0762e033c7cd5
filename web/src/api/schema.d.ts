// Generated from api/openapi.yaml by `npm run gen`; do not edit.

export interface paths {
  '/v1/sessions': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * List sessions, newest first
     * @description An admin sees all sessions, a user their own.
     */
    get: operations['listSessions'];
    put?: never;
    /**
     * Start a session
     * @description Answers at once with the session `pending`, or with `wait=true` when it is `ready` (201) or `failed` (the
     *     failure's own status; the error holds `session_id` and `failure`).
     *     When the host has no room: 503 `host_no_capacity`, which says what is held by whom. With `queue_seconds` the
     *     session is made all the same, `pending` with its place in `queue`, and starts when there is room: first come,
     *     first served, and nothing overtakes, however small; while any session waits, a create without `queue_seconds`
     *     is refused. At its deadline the session fails with `host_no_capacity`. What the host could never hold, or the
     *     queue not (100 sessions, 20 of one user), is refused at once.
     *     A repeat with the same `Idempotency-Key`, or with the same `id`, and the same body gives the first session and
     *     the header `Idempotent-Replayed: true`.
     */
    post: operations['createSession'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * One session
     * @description The holder of a ticket sees it without `metadata` and `cdp_url`.
     */
    get: operations['getSession'];
    put?: never;
    post?: never;
    /**
     * End a session
     * @description Idempotent. With `wait=true` nothing of the machine is left on the host when it answers.
     */
    delete: operations['deleteSession'];
    options?: never;
    head?: never;
    /** Change viewport, timeouts or metadata */
    patch: operations['updateSession'];
    trace?: never;
  };
  '/v1/sessions/{id}/boot': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * The boot ledger
     * @description Every phase of the start, timed; kept after the session has ended.
     */
    get: operations['getBoot'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/console': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * The machine's console
     * @description The last lines the machine printed, at most one mebibyte; kept after the session has ended.
     */
    get: operations['getConsole'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/events': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * Events of one session, as they happen
     * @description Server-sent events. `event` is the type, `id` the event's id, `data` an Event as JSON.
     */
    get: operations['streamSessionEvents'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/events': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Events of all the caller's sessions, as they happen
     * @description Server-sent events. An admin gets those of all users.
     */
    get: operations['streamEvents'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/exec': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /** Run a command in the machine and wait for it */
    post: operations['exec'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/screenshot': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /** The desktop as a PNG */
    get: operations['getScreenshot'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/bundle': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * What was known of a session that failed, as one file
     * @description A gzipped tar, at most 4 MiB: a summary to read first, the failure, the boot ledger, the end of the console, the agent's last
     *     word, the logs of the runtime's own programs, the host's figures, the daemon's version and settings, and the last screenshot.
     *     Secrets are taken out of all but the picture. It is kept as long as the session is, or until those of
     *     later failures need its room (256 MiB for all).
     *     404 `no_bundle` when there is none; 409 `bundle_not_ready` with `Retry-After` in the second or so in which it is made.
     */
    get: operations['getBundle'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/tickets': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Make a ticket for a viewer
     * @description The secret is shown once. `url` is a page for the scopes view and control, with the secret in its fragment so
     *     that it never reaches a server's log, and a WebSocket address for the scopes vnc and cdp.
     */
    post: operations['createTicket'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/tickets/{ticket_id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
        ticket_id: components['schemas']['TicketID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    post?: never;
    /**
     * Revoke a ticket
     * @description Idempotent. Closes the live connections that came in by it, and its viewer cookie is refused.
     */
    delete: operations['revokeTicket'];
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/tickets/redeem': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Turn a ticket into a viewer cookie
     * @description Works once. The cookie `vitrine_viewer` is HttpOnly, SameSite=Strict and limited to the paths of this session;
     *     it is good until the session is over or the ticket is revoked, so that a viewer may reconnect.
     */
    post: operations['redeemTicket'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/signal': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * WebSocket: a viewer's main socket
     * @description Presence, control and WebRTC signalling; see docs/viewer-protocol.md.
     */
    get: operations['connectSignal'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/vnc': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * WebSocket: the desktop by RFB 3.8
     * @description Subprotocol `binary`.
     */
    get: operations['connectVNC'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/cdp': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /** WebSocket: Chrome DevTools Protocol of the session's browser */
    get: operations['connectCDP'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/cdp/json/version': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * The browser's version and where to connect
     * @description What Playwright's `connectOverCDP` asks for first. `webSocketDebuggerUrl` holds a fresh ticket of scope cdp, good
     *     for one connection within a minute.
     */
    get: operations['getCDPVersion'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/whep': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Play the desktop with a WHEP player
     * @description draft-ietf-wish-whep. The answer holds all candidates of the node.
     */
    post: operations['createWHEP'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/sessions/{id}/whep/{resource}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
        resource: string;
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    post?: never;
    /** End the playback */
    delete: operations['deleteWHEP'];
    options?: never;
    head?: never;
    /** Trickle candidates */
    patch: operations['patchWHEP'];
    trace?: never;
  };
  '/api/webrtc/ice-servers': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * STUN and TURN servers
     * @description The TURN credentials are short-lived, good for at least an hour from now.
     */
    get: operations['getICEServers'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/webrtc/session/{id}/offer': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Offer a WebRTC connection
     * @description Answers with the SDP answer, which is also kept for GET answer.
     */
    post: operations['postOffer'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/webrtc/session/{id}/answer': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /**
     * The answer to the caller's last offer
     * @description 404 `no_offer` before an offer, 409 `not_ready` while the machine starts.
     */
    get: operations['getAnswer'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/api/webrtc/session/{id}/candidates': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    /** The node's candidates so far */
    get: operations['getCandidates'];
    put?: never;
    /** Give one of the caller's candidates */
    post: operations['postCandidate'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/login': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Turn a one-time login link's token into a dashboard cookie
     * @description The page at `/login#TOKEN` posts the token. The cookie `vitrine_login` is HttpOnly, SameSite=Strict, and Secure
     *     where the daemon is reached by https. Attempts are limited per address more strictly than other calls.
     */
    post: operations['login'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/logout': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * End the dashboard login
     * @description Idempotent. Ends the live connections that came in by the login.
     */
    post: operations['logout'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/me': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** Who is calling */
    get: operations['getMe'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/keys': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** All API keys, without their secrets */
    get: operations['listKeys'];
    put?: never;
    /**
     * Make an API key
     * @description The secret is shown in this reply and never again; the daemon keeps its hash.
     */
    post: operations['createKey'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/keys/{key_id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        key_id: components['schemas']['KeyID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    post?: never;
    /**
     * Delete an API key
     * @description Ends the live connections that came in by it.
     */
    delete: operations['deleteKey'];
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/ssh-keys': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * SSH keys, and where the daemon answers SSH
     * @description An admin sees everybody's keys, a user their own.
     */
    get: operations['listSSHKeys'];
    put?: never;
    /**
     * Let a public key in by SSH
     * @description The key opens the sessions of its user, an admin's all. A key added for oneself has one's own role; one that an
     *     admin adds for another user opens that user's sessions.
     */
    post: operations['addSSHKey'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/ssh-keys/{ssh_key_id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        ssh_key_id: components['schemas']['SSHKeyID'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    post?: never;
    /**
     * Remove an SSH key
     * @description Ends the connections that came in by it. Another user's key is answered 404, except to an admin.
     */
    delete: operations['removeSSHKey'];
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/login-links': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /** Make a one-time login link for the dashboard */
    post: operations['createLoginLink'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/images': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** Golden images on this host */
    get: operations['listImages'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/status': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Runtimes, room and recent failures
     * @description An admin sees the failures of all sessions, a user those of their own.
     */
    get: operations['getStatus'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/host/doctor': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Check the host
     * @description What a start needs, each with pass, warn or fail, what was seen, and what to type where something does not work.
     *     It changes nothing. The same as `vitrine doctor` on the host; a report is at most ten seconds old.
     */
    get: operations['getDoctor'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/host/audit': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * What belongs to no live session
     * @description Machines' directories, processes, cgroups, network namespaces, interfaces, firewall rules, loop devices, mounts,
     *     sockets, builds, reservations and tickets of this instance that no live session has. It changes nothing.
     */
    get: operations['auditHost'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/v1/host/gc': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Remove what belongs to no live session
     * @description Does what the audit lists, by the same plan: nothing that is not known to be of this instance, nothing that may be
     *     in the making, and a bounded number of deeds. It ends also when its caller leaves.
     */
    post: operations['collectHost'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/health': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Is the daemon alive, and does what it needs answer
     * @description 503 when the database does not answer; 200 otherwise, also when `degraded`.
     */
    get: operations['getHealth'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/metrics': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Prometheus metrics
     * @description Needs an admin's key, or comes from the host itself by a loopback name and not through a proxy.
     */
    get: operations['getMetrics'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/version': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** The daemon's version */
    get: operations['getVersion'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
}
export type webhooks = Record<string, never>;
export interface components {
  schemas: {
    SessionID: string;
    TicketID: string;
    KeyID: string;
    SSHKeyID: string;
    /** @description The name of a user, of the operator's choosing. */
    UserID: string;
    /** @enum {string} */
    Kind: 'desktop' | 'terminal';
    /**
     * @description `ready`: the agent answered, the display is up, and the browser answered and has painted.
     * @enum {string}
     */
    SessionState: 'pending' | 'starting' | 'ready' | 'stopping' | 'ended' | 'failed';
    /**
     * @description What stands between the machine and the host, weakest first.
     * @enum {string}
     */
    Isolation: 'none' | 'container' | 'gvisor' | 'emulated-vm' | 'microvm';
    /** @enum {string} */
    EndedReason:
      | 'stopped_by_user'
      | 'expired'
      | 'idle'
      | 'failed_to_start'
      | 'guest_oom'
      | 'machine_exited'
      | 'browser_crashed'
      | 'node_lost'
      | 'quota';
    Viewport: {
      /** @description Pixels. */
      width: number;
      /** @description Pixels. */
      height: number;
    };
    /** @description The caller's own labels. */
    Metadata: {
      [key: string]: string;
    };
    ImageRef: {
      /** @description The name asked for. */
      ref: string;
      /** @description sha256:… of what was used; null until it was resolved. */
      digest: string | null;
    };
    CreateSession: {
      /** @description An id of the caller's own making, to retry safely. */
      id?: components['schemas']['SessionID'];
      kind: components['schemas']['Kind'];
      /** @description Whose session it is; only an admin may name another user than their own. */
      user_id?: components['schemas']['UserID'];
      /** @description A name or digest from GET /v1/images; by default the kind's name. */
      image?: string;
      /** @description `auto`, or a runtime's name from GET /v1/status; by default the host's setting. */
      runtime?: string;
      /** @description Refuse, rather than give less than this. */
      min_isolation?: components['schemas']['Isolation'];
      vcpu?: number;
      /** @description MiB; not less than the image's min_memory_mb. */
      memory_mb?: number;
      viewport?: components['schemas']['Viewport'];
      /** @description What the browser opens first: an http, https, about or data URL. */
      start_url?: string;
      /** @description The session ends this long after its making; 0 for never. */
      timeout_seconds?: number;
      /** @description The session ends when nobody has used it for this long; 0 for never. */
      idle_timeout_seconds?: number;
      /** @description How long to wait for room on the host, in turn; left out: refused at once when there is none. */
      queue_seconds?: number;
      metadata?: components['schemas']['Metadata'];
    };
    UpdateSession: {
      viewport?: components['schemas']['Viewport'];
      /** @description Counted from the session's making; 0 for never. */
      timeout_seconds?: number;
      /** @description 0 for never. */
      idle_timeout_seconds?: number;
      /** @description Replaces all labels. */
      metadata?: components['schemas']['Metadata'];
    };
    Session: {
      id: components['schemas']['SessionID'];
      kind: components['schemas']['Kind'];
      state: components['schemas']['SessionState'];
      /** @description Its place among those that wait for room; null when it does not wait. */
      queue: components['schemas']['Queue'] | null;
      user_id: components['schemas']['UserID'];
      /** @description The runtime that runs it; never `auto`. */
      runtime: string;
      /** @description What the runtime really gives. */
      isolation: components['schemas']['Isolation'];
      /** @description The host that runs it. */
      node: string | null;
      image: components['schemas']['ImageRef'];
      vcpu: number;
      /** @description MiB; the hard limit of everything in the machine. */
      memory_mb: number;
      /** @description The machine's IPv4 address on the host's bridge. */
      address: string | null;
      viewport: components['schemas']['Viewport'];
      /** @description What the browser opened first; null when nothing was asked for */
      start_url: string | null;
      /** @description 0 for never. */
      timeout_seconds: number;
      /** @description 0 for never. */
      idle_timeout_seconds: number;
      /** Format: date-time */
      created_at: string;
      /** Format: date-time */
      ready_at: string | null;
      /** Format: date-time */
      expires_at: string | null;
      /** Format: date-time */
      ended_at: string | null;
      ended_reason: components['schemas']['EndedReason'] | null;
      failure: components['schemas']['Failure'] | null;
      /** @description What GET …/bundle gives; null when there is none, and for a ticket's viewer. */
      bundle: components['schemas']['Bundle'] | null;
      /** @description Nothing of the machine is left on the host. */
      released: boolean;
      /** @description How many are attached now. */
      viewers: number;
      /** @description The page that shows it; needs a login or a ticket. */
      live_view_url: string;
      /** @description For connectOverCDP; needs a key. */
      cdp_url: string | null;
      metadata: components['schemas']['Metadata'];
    };
    Queue: {
      /** @description 1 is the next. Each change is an event. */
      position: number;
      /**
       * Format: date-time
       * @description When it fails with `host_no_capacity`, unless room came before.
       */
      deadline: string;
    };
    Bundle: {
      /** Format: int64 */
      size_bytes: number;
      /** Format: date-time */
      created_at: string;
    };
    SessionList: {
      sessions: components['schemas']['Session'][];
      /** @description null on the last page. */
      next_cursor: string | null;
    };
    /** @enum {string} */
    PhaseName:
      | 'admission'
      | 'placement'
      | 'image'
      | 'network'
      | 'machine'
      | 'kernel'
      | 'init'
      | 'agent'
      | 'display'
      | 'browser';
    /** @enum {string} */
    Outcome: 'running' | 'ok' | 'failed';
    Phase: {
      name: components['schemas']['PhaseName'];
      /** Format: date-time */
      started_at: string;
      /** @description 0 while it runs. */
      duration_ms: number;
      outcome: components['schemas']['Outcome'];
      /** @description One line for a person. */
      detail: string;
    };
    Boot: {
      session_id: components['schemas']['SessionID'];
      phases: components['schemas']['Phase'][];
      /** @description From the first phase's start to the last phase's end. */
      total_ms: number;
      failure: components['schemas']['Failure'] | null;
    };
    /** @enum {string} */
    FailureCode:
      | 'memory_below_minimum'
      | 'host_no_capacity'
      | 'host_disk_full'
      | 'host_kvm_unusable'
      | 'host_network_failed'
      | 'image_missing'
      | 'image_corrupt'
      | 'kernel_missing'
      | 'runtime_missing'
      | 'vmm_failed'
      | 'guest_oom'
      | 'guest_kernel_panic'
      | 'guest_no_root'
      | 'guest_boot_loop'
      | 'guest_network_down'
      | 'agent_timeout'
      | 'agent_crashed'
      | 'agent_version_mismatch'
      | 'display_failed'
      | 'browser_crashed'
      | 'browser_unresponsive'
      | 'start_timeout'
      | 'node_lost';
    Failure: {
      code: components['schemas']['FailureCode'];
      phase: components['schemas']['PhaseName'];
      /** @description Plain words, with the numbers. */
      message: string;
      /** @description What to type or change. */
      remedy: string;
      retryable: boolean;
      /** @description Lines of console or log, verbatim. */
      evidence: string[];
    };
    /** @enum {string} */
    EventType: 'session.created' | 'session.updated' | 'session.state' | 'boot.phase';
    Event: {
      /**
       * Format: int64
       * @description Only grows, over all sessions.
       */
      id: number;
      type: components['schemas']['EventType'];
      session_id: components['schemas']['SessionID'];
      /** Format: date-time */
      at: string;
      /** @description As it was then; for session.*. */
      session: components['schemas']['Session'] | null;
      /** @description For boot.phase. */
      phase: components['schemas']['Phase'] | null;
    };
    Exec: {
      /** @description The program and its arguments; no shell is put before it. */
      command: string[];
      /** @description An absolute path; by default the user's home. */
      cwd?: string;
      /** @description Added to the user's environment. */
      env?: {
        [key: string]: string;
      };
      stdin?: string;
      /**
       * @description `root` for the machine's root; by default the desktop's user.
       * @enum {string}
       */
      user?: 'root';
      /** @default 60 */
      timeout_seconds: number;
    };
    ExecResult: {
      /** @description -1 when it was ended at its timeout. */
      exit_code: number;
      /** @description At most 1 MiB; bytes that are not UTF-8 are replaced. */
      stdout: string;
      /** @description The same. */
      stderr: string;
      stdout_truncated: boolean;
      stderr_truncated: boolean;
      timed_out: boolean;
      duration_ms: number;
    };
    /**
     * @description `control` includes `view`; both include `vnc`, where only those in control have input.
     * @enum {string}
     */
    Scope: 'view' | 'control' | 'cdp' | 'vnc';
    CreateTicket: {
      scope: components['schemas']['Scope'];
      /**
       * @description How long it may be redeemed.
       * @default 300
       */
      ttl_seconds: number;
    };
    Ticket: {
      id: components['schemas']['TicketID'];
      session_id: components['schemas']['SessionID'];
      scope: components['schemas']['Scope'];
      /** @description The secret, shown once. */
      ticket: string;
      url: string;
      /** Format: date-time */
      expires_at: string;
    };
    RedeemTicket: {
      ticket: string;
    };
    RedeemedTicket: {
      session_id: components['schemas']['SessionID'];
      scope: components['schemas']['Scope'];
    };
    /** @enum {string} */
    Role: 'admin' | 'user';
    Login: {
      token: string;
    };
    Me: {
      user_id: components['schemas']['UserID'];
      /**
       * @description `viewer`: came in by a ticket.
       * @enum {string}
       */
      role: 'admin' | 'user' | 'viewer';
      /** @description Of a viewer's ticket. */
      session_id?: components['schemas']['SessionID'];
      /** @description Of a viewer's ticket. */
      scope?: components['schemas']['Scope'];
    };
    CreateKey: {
      name: string;
      /** @default user */
      role: components['schemas']['Role'];
      /** @description Whose sessions it makes and sees; by default the caller's own. */
      user_id?: components['schemas']['UserID'];
    };
    Key: {
      id: components['schemas']['KeyID'];
      name: string;
      role: components['schemas']['Role'];
      user_id: components['schemas']['UserID'];
      /** Format: date-time */
      created_at: string;
    };
    NewKey: {
      id: components['schemas']['KeyID'];
      name: string;
      role: components['schemas']['Role'];
      user_id: components['schemas']['UserID'];
      /** Format: date-time */
      created_at: string;
      /** @description `vtr_…`, shown once. */
      secret: string;
    };
    KeyList: {
      keys: components['schemas']['Key'][];
    };
    AddSSHKey: {
      name: string;
      /** @description One line as in `~/.ssh/id_ed25519.pub`: Ed25519, ECDSA, RSA from 2048 bits, or a security key of those. */
      public_key: string;
      /** @description Whose sessions it opens; by default the caller's own. Another's: admins only. */
      user_id?: components['schemas']['UserID'];
      /** @description After how long it no longer lets in; by default never. */
      ttl_seconds?: number;
    };
    SSHKey: {
      id: components['schemas']['SSHKeyID'];
      name: string;
      role: components['schemas']['Role'];
      user_id: components['schemas']['UserID'];
      public_key: string;
      /** @description `SHA256:…`, as `ssh-keygen -l` prints it. */
      fingerprint: string;
      /** Format: date-time */
      created_at: string;
      /** Format: date-time */
      expires_at: string | null;
    };
    SSHKeyList: {
      keys: components['schemas']['SSHKey'][];
      endpoint: components['schemas']['SSHEndpoint'];
    };
    SSHEndpoint: {
      /** @description Empty when it listens on every address of the host. */
      host: string;
      /** @description 0 when SSH is off. */
      port: number;
      /** @description The daemon's public key; empty when SSH is off. */
      host_key: string;
    };
    CreateLoginLink: {
      /** @description By default the caller's own. */
      user_id?: components['schemas']['UserID'];
      /** @description By default the caller's own, or `user` when user_id names another. */
      role?: components['schemas']['Role'];
    };
    LoginLink: {
      /** @description The token is in its fragment, which browsers do not send. */
      url: string;
      /** Format: date-time */
      expires_at: string;
    };
    CDPVersion: {
      Browser: string;
      'Protocol-Version': string;
      'User-Agent': string;
      'V8-Version': string;
      webSocketDebuggerUrl: string;
    };
    ICEServer: {
      urls: string[];
      username?: string;
      credential?: string;
    };
    ICEServers: {
      iceServers: components['schemas']['ICEServer'][];
    };
    Offer: {
      sdp: string;
      /** @constant */
      type: 'offer';
    };
    Answer: {
      sdp: string;
      /** @constant */
      type: 'answer';
    };
    ICECandidate: {
      /** @description Empty after the last one. */
      candidate: string;
      sdpMid?: string | null;
      sdpMLineIndex?: number | null;
      /** @description As browsers give it; the candidates belong to the caller's last offer. */
      usernameFragment?: string | null;
    };
    ICECandidates: {
      candidates: components['schemas']['ICECandidate'][];
    };
    Image: {
      ref: string;
      digest: string;
      kind: components['schemas']['Kind'];
      /** Format: date-time */
      built_at: string;
      /** Format: int64 */
      size_bytes: number;
      files: number;
      /** @description How many Debian packages are in it. */
      packages: number;
      /** @description MiB; a session of it is refused below this. */
      min_memory_mb: number;
    };
    ImageList: {
      images: components['schemas']['Image'][];
    };
    Probe: {
      ok: boolean;
      /** @description Why not, or what was seen. */
      reason: string;
      /** @description What to type when not ok. */
      remedy: string;
      took_ms: number;
      version: string;
    };
    RuntimeStatus: {
      name: string;
      isolation: components['schemas']['Isolation'];
      probe: components['schemas']['Probe'];
    };
    Capacity: {
      memory_mb: number;
      vcpu: number;
      sessions: number;
    };
    RecentFailure: {
      session_id: components['schemas']['SessionID'];
      /** Format: date-time */
      at: string;
      runtime: string;
      failure: components['schemas']['Failure'];
    };
    Status: {
      version: components['schemas']['Version'];
      /** @description What `auto` picks here; null when nothing works. */
      runtime: string | null;
      runtimes: components['schemas']['RuntimeStatus'][];
      /** @description What live sessions hold. */
      reserved: components['schemas']['Capacity'];
      /** @description What the host lends; 0 means no bound. */
      capacity: components['schemas']['Capacity'];
      /** @description Newest first. */
      recent_failures: components['schemas']['RecentFailure'][];
    };
    Finding: {
      check: string;
      result: components['schemas']['Verdict'];
      /** @description What was seen. */
      detail: string;
      /** @description What to type; left out where nothing is to be done. */
      remedy?: string;
    };
    /** @enum {string} */
    Verdict: 'pass' | 'warn' | 'fail';
    Doctor: {
      /** Format: date-time */
      at: string;
      /** @description The worst of all. */
      verdict: components['schemas']['Verdict'];
      findings: components['schemas']['Finding'][];
    };
    /** @enum {string} */
    ThingKind:
      | 'machine'
      | 'probe'
      | 'process'
      | 'cgroup'
      | 'netns'
      | 'port'
      | 'bridge'
      | 'rules'
      | 'element'
      | 'forwarding'
      | 'loop'
      | 'mount'
      | 'socket'
      | 'build'
      | 'reservation'
      | 'ticket';
    Thing: {
      kind: components['schemas']['ThingKind'];
      /** @description A path, an interface, a process id, an id. */
      name: string;
      detail: string;
      /**
       * Format: date-time
       * @description Null where it cannot be told.
       */
      since: string | null;
    };
    Leftover: {
      /** @description What one deed removes. */
      things: components['schemas']['Thing'][];
      /** @description The machine that it is named after. */
      machine: string | null;
      /** @description Whose that machine was, where it is known. */
      session_id: string | null;
      /** @description Why it belongs to nobody. */
      why: string;
      /** @description What is done about it, in words; null for nothing. */
      deed: string | null;
      /** @description Why nothing is done now. */
      keep: string;
      done: boolean;
      /** @description Why the deed did not work. */
      error: string;
    };
    Collection: {
      /** @description In the order of the deeds. */
      leftovers: components['schemas']['Leftover'][];
      /** @description What could not be looked at. */
      blind: string[];
      dry_run: boolean;
      removed: number;
      failed: number;
    };
    Collect: {
      /** @description Only say what would be done. */
      dry_run?: boolean;
      /** @description Destructive deeds at most; 0 or left out for the default. */
      budget?: number;
    };
    HealthCheck: {
      name: string;
      ok: boolean;
      /** @description What is wrong; empty when ok. */
      message: string;
    };
    Health: {
      /** @enum {string} */
      status: 'ok' | 'degraded';
      version: string;
      /** @description What `auto` picks here. */
      runtime: string | null;
      checks: components['schemas']['HealthCheck'][];
    };
    Version: {
      version: string;
      /** @description Of the source; empty when not known. */
      commit: string;
      /** @description The Go release it was built with. */
      go: string;
      /** @description e.g. linux/amd64. */
      platform: string;
    };
    ErrorDetail: {
      /** @description Stable, machine readable; a FailureCode or a name such as `unknown_field`. */
      code: string;
      /** @description Plain words, with the numbers. */
      message: string;
      /** @description What to type or change. */
      remedy: string;
      retryable: boolean;
      /** @description The request's id in the daemon's log; also the header X-Request-Id. */
      request_id: string;
      /** @description Of a session that failed to start. */
      session_id?: components['schemas']['SessionID'];
      /** @description Why it failed. */
      failure?: components['schemas']['Failure'];
    };
    Error: {
      error: components['schemas']['ErrorDetail'];
    };
  };
  responses: {
    /**
     * @description What went wrong. 400 unreadable, 401 no valid credential, 403 not allowed, 404 not there or not the caller's,
     *     405, 409 in a state that refuses this, 413 too large, 415, 422 wrong as it stands, 429 too many calls
     *     (`Retry-After`), 502 the machine failed, 503 no room now (`Retry-After`) or a part does not answer, 504 a deadline
     *     passed, 500 a fault of ours.
     */
    Error: {
      headers: {
        'X-Request-Id'?: string;
        /** @description Seconds. */
        'Retry-After'?: number;
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /** @description The stream. A comment line every 15 s keeps it open. */
    Events: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'text/event-stream': string;
      };
    };
    /** @description The socket is open. */
    SwitchingProtocols: {
      headers: {
        [name: string]: unknown;
      };
      content?: never;
    };
  };
  parameters: {
    SessionID: components['schemas']['SessionID'];
    /** @description Answer when it is done. */
    Wait: boolean;
    /** @description The id of the last event seen; the stream goes on right after it. */
    LastEventID: number;
    /**
     * @description The same for a first connection, where a browser cannot set the header: 0 replays all that is kept. Without
     *     both, the stream begins with what happens next. The header wins.
     */
    After: number;
  };
  requestBodies: never;
  headers: {
    /** @description The path of what was made. */
    Location: string;
  };
  pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
  listSessions: {
    parameters: {
      query?: {
        state?: components['schemas']['SessionState'];
        user_id?: components['schemas']['UserID'];
        limit?: number;
        /** @description The `next_cursor` of the page before. */
        cursor?: components['schemas']['SessionID'];
      };
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description A page of sessions. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['SessionList'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  createSession: {
    parameters: {
      query?: {
        /** @description Answer when it is done. */
        wait?: components['parameters']['Wait'];
      };
      header?: {
        /** @description Any 1 to 255 printable ASCII characters, scoped to the caller's user. */
        'Idempotency-Key'?: string;
      };
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "kind": "desktop",
         *       "viewport": {
         *         "width": 1280,
         *         "height": 720
         *       },
         *       "start_url": "https://example.com/"
         *     }
         */
        'application/json': components['schemas']['CreateSession'];
      };
    };
    responses: {
      /** @description The session is ready (`wait=true`). */
      201: {
        headers: {
          Location: components['headers']['Location'];
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Session'];
        };
      };
      /** @description The session is wanted and its start goes on by itself. */
      202: {
        headers: {
          Location: components['headers']['Location'];
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Session'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getSession: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The session. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Session'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  deleteSession: {
    parameters: {
      query?: {
        /** @description Answer when it is done. */
        wait?: components['parameters']['Wait'];
      };
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The session, ending or ended. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Session'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  updateSession: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "timeout_seconds": 3600
         *     }
         */
        'application/json': components['schemas']['UpdateSession'];
      };
    };
    responses: {
      /** @description The session as it is now. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Session'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getBoot: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The ledger. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Boot'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getConsole: {
    parameters: {
      query?: {
        /** @description How many lines from the end. */
        tail?: number;
      };
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description Console text. Bytes that are not UTF-8 are replaced. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'text/plain': string;
        };
      };
      default: components['responses']['Error'];
    };
  };
  streamSessionEvents: {
    parameters: {
      query?: {
        /**
         * @description The same for a first connection, where a browser cannot set the header: 0 replays all that is kept. Without
         *     both, the stream begins with what happens next. The header wins.
         */
        after?: components['parameters']['After'];
      };
      header?: {
        /** @description The id of the last event seen; the stream goes on right after it. */
        'Last-Event-ID'?: components['parameters']['LastEventID'];
      };
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      200: components['responses']['Events'];
      default: components['responses']['Error'];
    };
  };
  streamEvents: {
    parameters: {
      query?: {
        /**
         * @description The same for a first connection, where a browser cannot set the header: 0 replays all that is kept. Without
         *     both, the stream begins with what happens next. The header wins.
         */
        after?: components['parameters']['After'];
      };
      header?: {
        /** @description The id of the last event seen; the stream goes on right after it. */
        'Last-Event-ID'?: components['parameters']['LastEventID'];
      };
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      200: components['responses']['Events'];
      default: components['responses']['Error'];
    };
  };
  exec: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "command": [
         *         "uname",
         *         "-a"
         *       ]
         *     }
         */
        'application/json': components['schemas']['Exec'];
      };
    };
    responses: {
      /** @description The command ended, or was ended at its timeout. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['ExecResult'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getScreenshot: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The picture. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'image/png': string;
        };
      };
      default: components['responses']['Error'];
    };
  };
  getBundle: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The bundle. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/gzip': string;
        };
      };
      default: components['responses']['Error'];
    };
  };
  createTicket: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "scope": "view",
         *       "ttl_seconds": 300
         *     }
         */
        'application/json': components['schemas']['CreateTicket'];
      };
    };
    responses: {
      /** @description The ticket. */
      201: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Ticket'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  revokeTicket: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
        ticket_id: components['schemas']['TicketID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The ticket lets nobody in any more. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  redeemTicket: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/json': components['schemas']['RedeemTicket'];
      };
    };
    responses: {
      /** @description What the cookie is good for. */
      200: {
        headers: {
          'Set-Cookie'?: string;
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['RedeemedTicket'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  connectSignal: {
    parameters: {
      query?: {
        /** @description The secret of the last `hello`; keeps the viewer's id and its control. */
        resume?: string;
      };
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      101: components['responses']['SwitchingProtocols'];
      default: components['responses']['Error'];
    };
  };
  connectVNC: {
    parameters: {
      query?: {
        /** @description The `viewer_id` of the viewer's signal socket; input passes only while that viewer is in control. */
        viewer?: string;
      };
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      101: components['responses']['SwitchingProtocols'];
      default: components['responses']['Error'];
    };
  };
  connectCDP: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      101: components['responses']['SwitchingProtocols'];
      default: components['responses']['Error'];
    };
  };
  getCDPVersion: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The browser. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['CDPVersion'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  createWHEP: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/sdp': string;
      };
    };
    responses: {
      /** @description The SDP answer. */
      201: {
        headers: {
          Location: components['headers']['Location'];
          'Accept-Patch'?: string;
          /** @description STUN and TURN servers, rel="ice-server". */
          Link?: string;
          [name: string]: unknown;
        };
        content: {
          'application/sdp': string;
        };
      };
      default: components['responses']['Error'];
    };
  };
  deleteWHEP: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
        resource: string;
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description Ended. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  patchWHEP: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
        resource: string;
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/trickle-ice-sdpfrag': string;
      };
    };
    responses: {
      /** @description Taken. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  getICEServers: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description For RTCConfiguration. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['ICEServers'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  postOffer: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/json': components['schemas']['Offer'];
      };
    };
    responses: {
      /** @description The answer. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Answer'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getAnswer: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The answer. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Answer'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getCandidates: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The candidates. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['ICECandidates'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  postCandidate: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        id: components['parameters']['SessionID'];
      };
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/json': components['schemas']['ICECandidate'];
      };
    };
    responses: {
      /** @description Taken. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  login: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/json': components['schemas']['Login'];
      };
    };
    responses: {
      /** @description Who is logged in now. */
      200: {
        headers: {
          'Set-Cookie'?: string;
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Me'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  logout: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The cookie is worth nothing any more. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  getMe: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The caller. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Me'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  listKeys: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The keys. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['KeyList'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  createKey: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "name": "ci",
         *       "role": "user",
         *       "user_id": "ci"
         *     }
         */
        'application/json': components['schemas']['CreateKey'];
      };
    };
    responses: {
      /** @description The key with its secret. */
      201: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['NewKey'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  deleteKey: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        key_id: components['schemas']['KeyID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The key is refused from now on. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  listSSHKeys: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The keys. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['SSHKeyList'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  addSSHKey: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "name": "laptop",
         *       "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXqs+JPMuOpCXq6S9tkWYiI6mz3yFqiCkPXLc6pu1xd"
         *     }
         */
        'application/json': components['schemas']['AddSSHKey'];
      };
    };
    responses: {
      /** @description The key as it is kept. */
      201: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['SSHKey'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  removeSSHKey: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        ssh_key_id: components['schemas']['SSHKeyID'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The key is refused from now on. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      default: components['responses']['Error'];
    };
  };
  createLoginLink: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /** @example {} */
        'application/json': components['schemas']['CreateLoginLink'];
      };
    };
    responses: {
      /** @description The link; good once, for fifteen minutes. */
      201: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['LoginLink'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  listImages: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The images. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['ImageList'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getStatus: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description How the host does. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Status'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getDoctor: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The report, also when checks fail. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Doctor'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  auditHost: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The list; empty when the host is clean. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Collection'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  collectHost: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        /**
         * @example {
         *       "dry_run": true
         *     }
         */
        'application/json': components['schemas']['Collect'];
      };
    };
    responses: {
      /** @description What was done, or in a dry run would be. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Collection'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getHealth: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description Alive. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Health'];
        };
      };
      /** @description The database does not answer. */
      503: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Health'];
        };
      };
      default: components['responses']['Error'];
    };
  };
  getMetrics: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description Prometheus text. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'text/plain': string;
        };
      };
      default: components['responses']['Error'];
    };
  };
  getVersion: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The version. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Version'];
        };
      };
      default: components['responses']['Error'];
    };
  };
}
