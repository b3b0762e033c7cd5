package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// manager is the service manager that started the daemon, when it wants to be
// told how the daemon does: systemd with Type=notify (sd_notify(3)). The
// protocol is one datagram of NAME=VALUE lines, so it is written here rather
// than linked: a library for it would be larger than its use.
//
// Telling is never worth a failure: a manager that cannot be reached is logged
// once and forgotten.
type manager struct {
	conn  net.Conn      // nil: there is none
	watch time.Duration // how often it wants a sign of life; 0: never
	log   *slog.Logger
}

// findManager takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment, so
// that no program the daemon runs takes itself for the service: crun, for one,
// would pass the socket on into a machine.
func findManager(log *slog.Logger) *manager {
	m := &manager{log: log}
	path, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if path == "" {
		return m
	}
	conn, err := net.Dial("unixgram", path) // "@name" is an abstract one, for Go as for systemd
	if err != nil {
		log.Warn("the service manager cannot be told how the daemon does", "error", err)
		return m
	}
	m.conn = conn
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watch = time.Duration(n) * time.Microsecond
	}
	return m
}

// tell sends a state, such as "READY=1".
func (m *manager) tell(state string) {
	if m.conn == nil {
		return
	}
	_ = m.conn.SetWriteDeadline(time.Now().Add(time.Second)) // a manager that is stuck must not stick us
	if _, err := m.conn.Write([]byte(state)); err != nil {
		m.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

func (m *manager) ready(url string) {
	m.tell(fmt.Sprintf("READY=1\nSTATUS=answering at %s", url))
}

func (m *manager) stopping() { m.tell("STOPPING=1\nSTATUS=shutting down; sessions go on") }

// watchdog gives a sign of life, thrice in the time that is allowed, as long as
// well says so. A daemon that hangs is then killed and started anew, which costs
// no session anything. It returns when ctx ends: of one that is stopping systemd
// wants no signs any more.
func (m *manager) watchdog(ctx context.Context, well func(limit time.Duration) error) {
	if m.conn == nil || m.watch == 0 {
		return
	}
	tick := time.NewTicker(m.watch / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := well(m.watch / 3); err != nil && ctx.Err() == nil {
				m.log.Error("the daemon does not answer itself; the service manager will start it anew", "error", err)
				continue
			}
			m.tell("WATCHDOG=1")
		}
	}
}
